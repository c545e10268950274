/**
 * Asks DuckDB, a reader of our files that nobody here wrote. It runs as a program of its own outside the project: its
 * binaries are 140 MB, which not every user's install may carry. Pinned by version here, as deno.lock does for the rest.
 */
const PROGRAM = `
import { DuckDBInstance } from "npm:@duckdb/node-api@1.5.6-r.1";
const instance = await DuckDBInstance.create(":memory:");
const connection = await instance.connect();
const reader = await connection.runAndReadAll(Deno.args[0]);
console.log(JSON.stringify(reader.getRowObjectsJson()));
`;

/** Rows of one SQL statement; 64-bit numbers come as text. */
export async function duckdb(sql: string): Promise<Record<string, unknown>[]> {
  const dir = await Deno.makeTempDir({ prefix: "duckdb-" });
  try {
    await Deno.writeTextFile(`${dir}/ask.ts`, PROGRAM);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-config", "--no-lock", `${dir}/ask.ts`, sql],
      cwd: dir,
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!success) throw new Error(`DuckDB failed: ${text(stderr)}`);
    return JSON.parse(text(stdout));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
