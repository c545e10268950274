import { join, resolve } from "node:path";
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from "@aws-sdk/client-s3";
import type { ObjectsConfig } from "../../../processor/dataset/objects/config.ts";
import { freePort } from "../kafka_broker.ts";
import { pythonWith } from "../python.ts";
import { until } from "../until.ts";

/**
 * Real S3 servers for tests; both create once, keep versions where they are asked to, list and end uploads in parts.
 * `versitygw` works over a directory (of a file system with extended attributes), checks signatures, and has what it had after
 * a restart; where a deletion has left a mark it takes the key for taken, which AWS does not. `moto` works in memory, one request at a time: it looks
 * at no signature and no key, ends a connection after each answer, and a restart finds nothing.
 */
export type S3Kind = "versitygw" | "moto";

export type S3Server = {
  /** Its bucket, prefix empty. */
  readonly config: ObjectsConfig;
  /** For a process that is to work on it; the keys are in this process's environment too, where `openS3` looks. */
  readonly env: Readonly<Record<string, string>>;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
};

export const S3_KINDS: readonly S3Kind[] = ["versitygw", "moto"];

const VERSITYGW = "1.8.0";
const BUCKET = "dataset";
const KEYS = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test-secret", AWS_REGION: "us-east-1" };
const CACHE = resolve(import.meta.dirname!, "../../../node_modules/.cache");
const REQUIREMENTS = join(import.meta.dirname!, "requirements.txt");

/** Milliseconds: a compiler at work, where it is not in Go's cache. */
const BUILDING_MS_MAX = 900_000;

/** Why there is no such server to test against; null where there is. A first call builds or installs it. */
export async function whyNoS3(kind: S3Kind): Promise<string | null> {
  if (kind === "versitygw") return isThere(versitygw()) ? null : await buildVersitygw();
  const python = await pythonWith(REQUIREMENTS);
  return "absence" in python ? `moto cannot be had: ${python.absence}` : null;
}

/** Starts one with an empty bucket. Throws where `whyNoS3` says why. */
export async function startS3(
  kind: S3Kind,
  { versioned = false }: { readonly versioned?: boolean } = {},
): Promise<S3Server> {
  const absence = await whyNoS3(kind);
  if (absence !== null) throw new Error(absence);
  const dir = await Deno.makeTempDir({ prefix: "s3-" });
  const port = freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const start = kind === "versitygw" ? startVersitygw : startMoto;
  let process = await start(port, dir);
  for (const [name, value] of Object.entries(KEYS)) Deno.env.set(name, value);
  const client = new S3Client({ endpoint, region: KEYS.AWS_REGION, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const VersioningConfiguration = { Status: "Enabled" } as const;
  if (versioned) {
    await client.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration }));
  }
  client.destroy();
  const kill = async () => {
    process.kill("SIGKILL");
    await process.status;
  };
  return {
    config: {
      bucket: BUCKET,
      prefix: "",
      endpoint,
      region: KEYS.AWS_REGION,
      forcePathStyle: true,
      objectBytes: 64 * 1024 * 1024,
      objectAgeMs: 30_000,
      compression: "none",
    },
    env: { ...KEYS, DATASET_URL: `s3://${BUCKET}`, AWS_ENDPOINT_URL: endpoint, S3_FORCE_PATH_STYLE: "1" },
    kill,
    async restart() {
      process = await start(port, dir);
    },
    async stop() {
      await kill().catch(() => {});
      await Deno.remove(dir, { recursive: true });
    },
  };
}

async function startVersitygw(port: number, dir: string): Promise<Deno.ChildProcess> {
  const [objects, versions] = ["objects", "versions"].map((name) => join(dir, name));
  for (const path of [objects, versions]) Deno.mkdirSync(path!, { recursive: true });
  const args = ["--port", `127.0.0.1:${port}`, "--quiet", "--health", "/health", "posix"];
  return await spawn(versitygw(), {
    args: [...args, "--versioning-dir", versions!, objects!],
    env: { ROOT_ACCESS_KEY: KEYS.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: KEYS.AWS_SECRET_ACCESS_KEY },
    health: `http://127.0.0.1:${port}/health`,
  });
}

/** As `moto.server` starts it, but for the threads: it looks whether there is an object and then puts, and several would win. */
const ONE_AT_A_TIME = `
import sys
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
app = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=False, request_handler=MotoRequestHandler)
`;

async function startMoto(port: number): Promise<Deno.ChildProcess> {
  const python = await pythonWith(REQUIREMENTS);
  if ("absence" in python) throw new Error(python.absence);
  return await spawn(join(python.bin, "python3"), {
    args: ["-c", ONE_AT_A_TIME, `${port}`],
    env: {},
    health: `http://127.0.0.1:${port}/moto-api/`,
  });
}

async function spawn(
  program: string,
  { args, env, health }: {
    readonly args: string[];
    readonly env: Record<string, string>;
    readonly health: string;
  },
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
  let ended = false;
  child.status.then(() => ended = true);
  await until(`${program} answers`, async () => {
    if (ended) throw new Error(`${program} ended while it started: see what it says by hand`);
    const response = await fetch(health);
    await response.body?.cancel();
    return response.ok;
  });
  return child;
}

const versitygw = () => join(CACHE, `versitygw-${VERSITYGW}`, "versitygw");

/** Built beside and renamed into place: two test files may want it at once. */
async function buildVersitygw(): Promise<string | null> {
  await Deno.mkdir(CACHE, { recursive: true });
  const built = await Deno.makeTempDir({ dir: CACHE });
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["install", `github.com/versity/versitygw/cmd/versitygw@v${VERSITYGW}`],
      // An older compiler than it asks for fetches the one that it does, through the module proxy.
      env: { GOBIN: built, CGO_ENABLED: "0", GOTOOLCHAIN: "auto" },
      stdout: "null",
      stderr: "piped",
      signal: AbortSignal.timeout(BUILDING_MS_MAX),
    }).output();
    const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    if (!success) return `versitygw ${VERSITYGW} cannot be built: ${said}`;
    await Deno.rename(built, join(CACHE, `versitygw-${VERSITYGW}`));
  } catch (error) {
    if (!isThere(versitygw())) return `versitygw ${VERSITYGW} cannot be built: ${(error as Error).message}`;
  } finally {
    await Deno.remove(built, { recursive: true }).catch(() => {});
  }
  return null;
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
