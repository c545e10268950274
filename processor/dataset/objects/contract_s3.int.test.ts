import { afterAll, beforeAll } from "vitest";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { type S3Server, startS3, whyNoS3 } from "../../../tests/support/s3/servers.ts";
import { describeDatasetContract } from "../contract_suite/suite.ts";
import { Builds } from "./builds.ts";
import { openObjectDataset } from "./dataset.ts";
import { settings } from "./fixtures/settings.ts";
import { openS3 } from "./s3/client.ts";

const KIND = "versitygw";
let why: string | null = null;
let server: S3Server;
let prefixes = 0;

beforeAll(async () => {
  why = await whyNoS3(KIND);
  if (why === null) server = await startS3(KIND);
}, 1_000_000);
afterAll(async () => await server?.stop());

describeDatasetContract("a bucket of a real server", async () => {
  const config = { ...settings(), ...server.config, prefix: `contract/${prefixes++}` };
  const clock = manualClock();
  const store = await openS3(config);
  return {
    open: ({ dedupWindow = 100 } = {}) => openObjectDataset(config, { dedupWindow, clock }),
    read: async (path) => {
      const { build } = (await new Builds(store, clock).current())!;
      return new TextDecoder().decode((await store.get(`${build}/${path}`))!);
    },
    remove: () => Promise.resolve(store.close()),
  };
}, { whyNot: () => why });
