import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DAYS, PERSONS, writeDataset } from "../../processor/dataset/fixtures/written_dataset.ts";
import { datasetFiles, datasetLines } from "./pipeline.ts";

let dataDir: string;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "pipeline_" });
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

test("tests read a growing dataset up to its manifest, not a line that is being written behind it", async () => {
  expect(datasetLines(dataDir)).toEqual([]);
  await writeDataset(dataDir);
  const before = datasetLines(dataDir);
  expect(new Set(before.map((line) => line.timestamp.slice(0, 10)))).toEqual(new Set(DAYS));
  expect(before.length).toBeGreaterThan(PERSONS.length);
  const [path] = datasetFiles(dataDir).keys();
  const behind = `{"timestamp":"2025-11-30T10:00:00.000Z","event":"whole"}\n{"timestamp":"2025-11-`;
  await Deno.writeTextFile(join(dataDir, "dataset", path!), behind, { append: true });
  expect(datasetLines(dataDir)).toEqual(before);
});
