import { join } from "node:path";
import { manifestPath, parseDatasetPath } from "../core/path.ts";
import { DatasetReadError } from "../core/read_error.ts";
import { DatasetStateError } from "../core/state_error.ts";
import { type Audit, type DatasetReader, inOrder } from "../reading/reader.ts";
import { entriesIn } from "../reading/snapshot.ts";

/** Whether every manifest of a tree can be read, and that no file lies beside those that they name. */
export function auditFiles(files: DatasetReader): Audit {
  const findings: { file: string; finding: string }[] = [];
  const find = (file: string, finding: string) => void findings.push({ file, finding });
  try {
    files.identity();
  } catch (error) {
    find("_manifest/dataset.json", messageOf(error));
  }
  // Before the manifests: a writer names a file there before it makes it.
  const onDisk = filesBelow(files.place);
  // Partitions whose manifest cannot be read: nothing can be said of their files.
  const damaged = new Set<number>();
  const named = new Set(
    files.partitions().flatMap((partition) => {
      try {
        const paths = Object.keys(entriesIn(files.snapshot(partition)));
        for (const path of paths) {
          if (parseDatasetPath(path)!.partition !== partition) {
            find(path, `is named by the manifest of partition ${partition}`);
          }
        }
        return paths;
      } catch (error) {
        damaged.add(partition);
        find(manifestPath(partition), messageOf(error));
        return [];
      }
    }),
  );
  for (const path of onDisk) {
    const partition = parseDatasetPath(path)?.partition;
    if (named.has(path) || (partition !== undefined && damaged.has(partition))) continue;
    find(path, "is named by no manifest");
  }
  return { paths: inOrder([...named]), findings, beside: [] };
}

/** Paths below a tree, but for its `_manifest/`. */
function filesBelow(root: string, below = ""): readonly string[] {
  return [...Deno.readDirSync(join(root, below))].flatMap(({ name, isDirectory }) => {
    const path = below === "" ? name : `${below}/${name}`;
    if (path === "_manifest") return [];
    return isDirectory ? filesBelow(root, path) : [path];
  }).sort();
}

/** Errors that speak of the dataset's state; any other is no finding. */
function messageOf(error: unknown): string {
  if (error instanceof DatasetStateError || error instanceof DatasetReadError) return error.message;
  throw error;
}
