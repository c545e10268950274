import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EventDetail, PipelineStatus } from "../contract/processor_api.ts";
import { post, posthogBody, type Service, startService } from "../tests/support/pipeline.ts";
import { type S3Server, startS3, whyNoS3 } from "../tests/support/s3/servers.ts";
import { until } from "../tests/support/until.ts";

/** Real services over a real S3 server. */

const absence = await whyNoS3("versitygw");
const UUID = "0190a000-0000-7000-8000-000000000001";

let dataDir: string;
let server: S3Server;
let services: Service[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "bucket-" });
  server = await startS3("versitygw");
  services = [];
});
afterEach(async () => {
  for (const service of services) await service.kill().catch(() => {});
  await server.stop();
  await Deno.remove(dataDir, { recursive: true });
});

async function start(name: "ingest" | "processor"): Promise<Service> {
  const service = await startService(name, {
    ...server.env,
    DATA_DIR: dataDir,
    DATASET_OBJECT_AGE: "200ms",
    PIPELINE_SECRET: "a secret of sixteen",
  });
  services.push(service);
  return service;
}

describe.skipIf(absence !== null)(`a processor on DATASET_URL (${absence ?? "versitygw"})`, () => {
  test(
    "tells of the lines in the bucket, and of the last known where that is away",
    { timeout: 120_000 },
    async () => {
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      const status = async (): Promise<PipelineStatus> =>
        await (await fetch(`${processor.url}/api/status`)).json();
      await post(ingest.url, posthogBody({ uuid: UUID }));
      await until("the line is counted", async () => (await status()).dataset.records === 1)
        .catch((cause) => {
          throw new Error(`The processor said: ${processor.errors()}`, { cause });
        });
      expect(await status()).not.toHaveProperty("datasetProblem");
      const page = await (await fetch(`${processor.url}/api/dataset`)).json();
      const [file] = page.partitions[0].paths;
      const event: EventDetail = await (await fetch(`${processor.url}/api/events/${UUID}`)).json();
      expect(event.line).toMatchObject({ file, line: 1 });
      const exported = await (await fetch(`${processor.url}/api/dataset/export?format=jsonl`)).text();
      expect(exported).toBe(`${event.line!.text}\n`);

      await server.kill();
      await until("the bucket is away", async () => (await status()).datasetProblem !== undefined);
      const now = await status();
      expect([now.dataset.records, now.outcomes?.lines]).toEqual([1, 1]);
      const metrics = await (await fetch(`${processor.url}/metrics`)).text();
      expect(metrics).toContain('processor_lines_total{what="dataset-writer"} 1\n');
      const { warnings } = await (await fetch(`${processor.url}/readyz`)).json();
      expect(warnings).toEqual([expect.stringContaining(server.env.DATASET_URL!)]);
      expect((await fetch(`${processor.url}/api/dataset?file=${encodeURIComponent(file)}`)).status).toBe(200);

      await server.restart();
      await until("it is back", async () => (await status()).datasetProblem === undefined, {
        limitMs: 60_000,
      });
    },
  );
});
