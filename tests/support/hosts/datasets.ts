import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { runProgram } from "../run_command.ts";
import type { Line } from "../pipeline.ts";
import { startS3 } from "../s3/servers.ts";
import type { Hosts } from "./hosts.ts";
import type { HostsDataset } from "./rounds.ts";

/** Of one host alone, on its own disk. */
export function onItsDisk({ hosts: [host] }: Hosts): Promise<HostsDataset> {
  return Promise.resolve({
    envOf: () => ({}),
    prompts: () => promptsIn({ DATA_DIR: host!.dataDir }, (path) => Deno.readFile(path)),
    faults: ["killed", "stopped", "cut off from the broker"],
    stop: () => Promise.resolve(),
  });
}

/** Of all of them, in the bucket of a server on this machine. */
export async function inABucket(hosts: Hosts): Promise<HostsDataset> {
  const { config, env, stop } = await startS3("versitygw");
  const place = hosts.expose("bucket", Number(new URL(config.endpoint!).port));
  const theirs = { ...env, AWS_ENDPOINT_URL: `http://${place}`, DATASET_OBJECT_AGE: "1s" };
  const { endpoint, region, forcePathStyle } = config;
  const client = new S3Client({ endpoint: endpoint!, region: region!, forcePathStyle });
  const read = async (url: string) => {
    const [Bucket, ...key] = url.replace(/^s3:\/\//, "").split("/");
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: key.join("/") }));
    return await Body!.transformToByteArray();
  };
  return {
    envOf: () => theirs,
    prompts: () => promptsIn({ ...env, DATA_DIR: hosts.hosts[0]!.dataDir }, read),
    faults: ["killed", "cut off from the bucket", "stopped", "cut off from the broker"],
    async stop() {
      client.destroy();
      await stop();
    },
  };
}

/** Of every file or object that the command lists, as many bytes as it says. */
async function promptsIn(
  env: Readonly<Record<string, string>>,
  read: (path: string) => Promise<Uint8Array>,
): Promise<readonly string[]> {
  const args = ["files", "--json"];
  const { code, stdout, stderr } = await runProgram("tools/dataset/main.ts", { args, env });
  if (code !== 0) throw new Error(`deno task dataset files failed: ${stderr}`);
  const prompts: string[] = [];
  for (const text of stdout.split("\n").filter(Boolean)) {
    const { path, bytes }: { path: string; bytes: number } = JSON.parse(text);
    const lines = new TextDecoder().decode((await read(path)).subarray(0, bytes)).split("\n").filter(Boolean);
    for (const line of lines) prompts.push((JSON.parse(line) as Line).input_prompt);
  }
  return prompts;
}
