import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  mailFiles,
  post,
  posthogBody,
  type Service,
  type ServiceName,
  startService,
} from "../support/pipeline.ts";
import { runProgram } from "../support/run_command.ts";
import { type S3Server, startS3, whyNoS3 } from "../support/s3/servers.ts";
import { until } from "../support/until.ts";

/** What a processor says and does whose DATASET_URL leads to no good bucket. Signatures are checked by versitygw alone. */
const why = await whyNoS3("versitygw");

describe("A processor", () => {
  if (why !== null) {
    test("says what is wrong with its bucket", (running) => running.skip(why));
    return;
  }
  let s3: S3Server;
  let dataDir: string;
  let env: Record<string, string>;
  const running: Service[] = [];

  beforeAll(async () => void (s3 = await startS3("versitygw")));
  afterAll(() => s3.stop());
  beforeEach(async () => {
    dataDir = await Deno.makeTempDir({ prefix: "bucket-trouble-" });
    env = { ...s3.env, DATA_DIR: dataDir, DATASET_OBJECT_AGE: "200ms", DISCOUNT_WAIT: "100ms" };
  });
  afterEach(async () => {
    for (const service of running.splice(0)) await service.kill();
    await Deno.remove(dataDir, { recursive: true });
  });

  const start = async (name: ServiceName) => {
    const service = await startService(name, env);
    running.push(service);
    return service;
  };
  const readyz = async ({ url }: Service) => {
    const response = await fetch(`${url}/readyz`);
    const { waitsFor }: { waitsFor: string[] } = await response.json();
    return { status: response.status, waitsFor };
  };
  const untilItSaysAway = (processor: Service) =>
    until("/readyz says that the bucket is away", async () => {
      const { status, waitsFor } = await readyz(processor);
      return status === 503 && waitsFor.some((words) => /Cannot .* in s3:\/\/dataset: no answer/.test(words));
    });
  const untilReady = (processor: Service) =>
    until("it is ready", async () => (await readyz(processor)).status === 200);
  const prompts = async () => {
    const { stdout } = await runProgram("tools/dataset/main.ts", { args: ["cat"], env });
    return stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line).input_prompt as string).sort();
  };

  const CASES: readonly {
    readonly name: string;
    readonly more: Readonly<Record<string, string>>;
    readonly says: RegExp;
  }[] = [
    {
      name: "whose key is wrong",
      more: { AWS_SECRET_ACCESS_KEY: "not-the-secret" },
      says: /Cannot read .* the server answers 403 SignatureDoesNotMatch .*Check the credentials/,
    },
    {
      name: "without any key",
      more: { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "", AWS_EC2_METADATA_DISABLED: "true" },
      says: /Cannot open s3:\/\/dataset: .*Give the process credentials where the AWS SDK looks/,
    },
    {
      name: "whose bucket is not there",
      more: { DATASET_URL: "s3://nowhere/prefix" },
      says: /Cannot read .* in s3:\/\/nowhere\/prefix: .*Make the bucket, or correct DATASET_URL\./,
    },
  ];
  const endsWith = async (more: Readonly<Record<string, string>>) => {
    const { code, stderr } = await runProgram("processor/main.ts", {
      env: { ...env, PROCESSOR_PORT: "0", ...more },
    });
    const errors = stderr.split("\n").filter((line) => /^\S+ error /.test(line));
    expect([code, errors.length]).toEqual([1, 1]);
    expect(stderr).not.toContain("not-the-secret");
    return errors[0];
  };

  test.each(CASES)("$name ends with one sentence that says what to mend", async ({ more, says }) => {
    expect(await endsWith(more)).toMatch(says);
  });

  test("whose server does not create once ends with one sentence that says so", async () => {
    const objects = new Map<string, Uint8Array<ArrayBuffer>>();
    // `If-None-Match` is not looked at.
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method === "PUT") {
        objects.set(pathname, await request.bytes());
        return new Response(null, { headers: { etag: '"1"' } });
      }
      const found = objects.get(pathname);
      if (found) return new Response(found);
      return new Response("<Error><Code>NoSuchKey</Code></Error>", { status: 404 });
    });
    try {
      const words = await endsWith({ AWS_ENDPOINT_URL: `http://127.0.0.1:${server.addr.port}` });
      expect(words).toMatch(/Cannot keep a dataset in s3:\/\/dataset: .*does not honour "If-None-Match: \*"/);
    } finally {
      await server.shutdown();
    }
  });

  test("whose bucket is away waits for it, at its start and later, while mails go on; each line is there once then", async () => {
    await s3.kill();
    const [ingest, processor] = [await start("ingest"), await start("processor")];
    const fail = async (prompt: string) => {
      const body = posthogBody({ properties: { input_prompt: prompt } });
      expect([await post(ingest.url, body), await post(ingest.url, body)]).toEqual([200, 200]);
    };
    await fail("before the first answer");
    await untilItSaysAway(processor);
    expect((await readyz(processor)).waitsFor).toEqual([
      expect.stringMatching(/^Cannot read .* It is tried again; where it stays so, look at the server\.$/),
    ]);
    expect(processor.errors()).toMatch(/Trying again in \d+ ms/);

    await s3.restart();
    await untilReady(processor);
    await until("the line is there", async () => (await prompts()).length === 1);

    await s3.kill();
    await fail("while it was away");
    const use = () => posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" });
    for (let n = 0; n < 5; n++) expect(await post(ingest.url, use())).toBe(200);
    await untilItSaysAway(processor);
    await until("the mail is sent", () => mailFiles(dataDir).length === 1);

    await s3.restart();
    await untilReady(processor);
    await until("the line is there", async () => (await prompts()).length === 2);
    expect(await prompts()).toEqual(["before the first answer", "while it was away"]);
  });
});
