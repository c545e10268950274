import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { parseDuration } from "../../runtime/environment.ts";
import {
  answersTo,
  ConsoleDoor,
  consoleWarnings,
  type HostSettings,
  isLoopback,
  refusalAnswer,
  visitOf,
} from "../../contract/door.ts";
import { readStandInConfig } from "../../demo/stand_in/config.ts";
import { readWebConfig } from "../../serve_web/config.ts";
import { PAGE_BUTTONS } from "../../serve_web/page.ts";
import { DEFAULT_LIMITS, readIngestConfig, warningsOf } from "../../ingest/config.ts";
import { readProcessorConfig } from "../../processor/config.ts";
import { type ComposeService, interpolate, readComposeFile } from "./compose_file.ts";
import { readDockerfile, stageOf } from "./dockerfile.ts";
import { v8FlagsOf } from "./v8_flags.ts";

/** Nothing here runs Docker: the file is read as Compose reads it, and each service's own code judges what it is given. */
const ROOT = resolve(import.meta.dirname!, "../..");
const TEXT = Deno.readTextFileSync(`${ROOT}/compose.yaml`);
const DOCKERFILE = readDockerfile(Deno.readTextFileSync(`${ROOT}/Dockerfile`));

const compose = (environment: Record<string, string> = {}) => readComposeFile(TEXT, environment);
const plain = compose();
const everyService = Object.entries(plain.services);

/** What a container of ours sees: the image's own environment, and over it that of compose.yaml. */
function environmentOf(name: string, { services } = plain): Record<string, string> {
  const { build, environment } = services[name]!;
  const texts = Object.entries(environment ?? {});
  for (const [variable, value] of texts) expect(value, variable).toBeTypeOf("string");
  return { ...stageOf(DOCKERFILE, build!.target).environment, ...environment };
}

const OURS = [
  { name: "ingest", read: readIngestConfig, health: "/readyz" },
  { name: "processor", read: readProcessorConfig, health: "/readyz" },
  { name: "posthog-stand-in", read: readStandInConfig, health: "/healthz" },
  { name: "web", read: readWebConfig, health: "/" },
] as const;

/** A user's environment: nothing, and everything that the file takes over from it. */
const USERS: readonly [string, Record<string, string>][] = [
  ["nothing set", {}],
  ["everything set", {
    WEBHOOK_SECRET: "static-secret-of-a-test",
    WEBHOOK_SIGNING_SECRET: `whsec_${btoa("a key of at least twenty-four bytes")}`,
    PIPELINE_SECRET: "a-pipeline-secret-of-a-test",
    IDENTITY_SECRET: "the application's server knows it",
    SMTP_URL: "smtps://user:pass@smtp.example.org:465",
    MAIL_FROM: "Shop <offers@shop.example>",
    PUBLIC_URL: "https://shop.example",
    DISCOUNT_WAIT: "10s",
    DISCOUNT_TEXT: "one month for nothing",
    DATASET_URL: "s3://dataset/teams/a",
    DATASET_OBJECT_BYTES: "8MiB",
    DATASET_OBJECT_AGE: "10s",
    DATASET_COMPRESSION: "zstd",
    POSTHOG_KEY: "phc_own",
    POSTHOG_HOST: "https://eu.i.posthog.com",
    FRESH: "npm",
    LOG_FORMAT: "text",
    LOG_LEVEL: "debug",
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://otel.example:4318",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=1",
    OTEL_RESOURCE_ATTRIBUTES: "service.namespace=shop",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.1",
    CONSOLE_PASSWORD: "console-password-of-a-test",
    ALLOWED_HOSTS: "shop.example,10.0.0.7",
  }],
];

test("the variables that are taken over from the user are those that the tests set", () => {
  const taken = [...TEXT.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name!);
  expect([...new Set(taken)].sort()).toEqual(Object.keys(USERS[1]![1]).sort());
});

describe.each(USERS)("with %s in the user's environment", (_, user) => {
  const file = compose(user);

  test.each(OURS)(
    "$name reads its environment without a problem and listens where others reach it",
    (ours) => {
      const config = ours.read(environmentOf(ours.name, file));
      expect(isLoopback(config.host)).toBe(false);
      const [published, ...more] = file.services[ours.name]!.ports!;
      expect(more).toEqual([]);
      expect(published).toBe(`127.0.0.1:${config.port}:${config.port}`);
    },
  );

  test("ingest and processor work on Redpanda, with one DATA_DIR and one secret", () => {
    const ingest = readIngestConfig(environmentOf("ingest", file));
    const processor = readProcessorConfig(environmentOf("processor", file));
    expect(ingest.log).toMatchObject({ kind: "kafka", brokers: ["redpanda:9092"], prefix: "" });
    expect(processor.log).toEqual(ingest.log);
    expect(processor.dataDir).toBe(ingest.dataDir);
    expect(processor.pipelineSecret).toBe(ingest.pipelineSecret);
    expect(processor.publicUrl).toBe(ingest.publicUrl);
    expect(ingest.pipelineSecret).toBe(user.PIPELINE_SECRET ?? null);
    expect(processor.identitySecret).toBe(user.IDENTITY_SECRET ?? null);
    expect(processor.showRaw).toBe(false);
  });
});

test("the dataset lies in the volume, or where DATASET_URL is set in MinIO's bucket, by MinIO's own keys", () => {
  expect(readProcessorConfig(environmentOf("processor")).objects).toBeNull();
  const user = { DATASET_URL: "s3://dataset" };
  const environment = environmentOf("processor", compose(user));
  expect(readProcessorConfig(environment).objects).toMatchObject({
    bucket: "dataset",
    prefix: "",
    endpoint: "http://minio:9000",
    region: "us-east-1",
    forcePathStyle: true,
  });
  const { minio, "minio-bucket": bucket, processor } = plain.services;
  expect(minio!.environment).toMatchObject({
    MINIO_ROOT_USER: environment.AWS_ACCESS_KEY_ID,
    MINIO_ROOT_PASSWORD: environment.AWS_SECRET_ACCESS_KEY,
  });
  expect(minio!.ports).toBeUndefined();
  expect(bucket!.entrypoint).toEqual(["deno", "eval", expect.stringContaining('"/data/dataset"')]);
  expect(bucket!.volumes).toEqual(minio!.volumes);
  expect(bucket!.user).toBe(minio!.user);
  expect([minio!.profiles, bucket!.profiles]).toEqual([["s3"], ["s3"]]);
  expect(processor!.depends_on!.minio).toEqual({ condition: "service_healthy", required: false });
});

test("anybody may publish where no secret is set, which is said at the start, and nobody where one is", () => {
  const open = readIngestConfig(environmentOf("ingest"));
  expect(open.anonymous).toBe(true);
  expect(warningsOf(open).join()).toContain("ALLOW_ANONYMOUS");
  for (const secret of ["WEBHOOK_SECRET", "WEBHOOK_SIGNING_SECRET"]) {
    const user = { [secret]: USERS[1]![1][secret]! };
    expect(readIngestConfig(environmentOf("ingest", compose(user))).anonymous).toBe(false);
    const { target } = readStandInConfig(environmentOf("posthog-stand-in", compose(user)));
    expect([target.staticSecret, target.signingKey].filter((key) => key !== null)).toHaveLength(1);
  }
});

test("the console is everybody's who reaches the published ports, by a loopback name, until there is a password", async () => {
  const open = { password: null, anonymous: true, publicHost: "localhost" };
  const user = { CONSOLE_PASSWORD: "secret", PUBLIC_URL: "https://shop.example", ALLOWED_HOSTS: "10.0.0.7" };
  const locked = { password: "secret", anonymous: false, publicHost: "shop.example" };
  const { console: own } = readProcessorConfig(environmentOf("processor"));
  expect(own).toEqual({ ...open, allowedHosts: ["processor"] });
  expect(consoleWarnings(own, "0.0.0.0")).toHaveLength(1);
  expect(readWebConfig(environmentOf("web")).console).toEqual({ ...open, allowedHosts: [] });
  const processor = readProcessorConfig(environmentOf("processor", compose(user))).console;
  expect(processor).toEqual({ ...locked, allowedHosts: ["processor", "10.0.0.7"] });
  const web = readWebConfig(environmentOf("web", compose(user))).console;
  expect(web).toEqual({ ...locked, allowedHosts: ["10.0.0.7"] });
  expect(await webSettings(compose(user))).toMatchObject({ console: web });
});

test("every service answers to the name by which the others ask it", () => {
  const hosts: Record<string, HostSettings> = {
    ingest: readIngestConfig(environmentOf("ingest")).console,
    processor: readProcessorConfig(environmentOf("processor")).console,
    "posthog-stand-in": readStandInConfig(environmentOf("posthog-stand-in")).hosts,
  };
  const asked = everyService.flatMap(([, { environment }]) =>
    Object.values(environment ?? {}).flatMap((value) => /^http:\/\/([a-z-]+):\d+$/.exec(value)?.[1] ?? [])
  ).filter((host) => !["localhost", "redpanda", "minio"].includes(host));
  expect(new Set(asked)).toEqual(new Set(Object.keys(hosts)));
  for (const host of asked) expect(answersTo(host, hosts[host]!), host).toBe(true);
});

test.each(["ingest", "processor"])(
  "the memory of %s has the bounds in its container that its task gives it",
  (service) => {
    expect(environmentOf(service).DENO_V8_FLAGS).toBe(v8FlagsOf(service));
  },
);

test("web knows that there is a secret, and not which", async () => {
  const user = { WEBHOOK_SECRET: "static-secret-of-a-test" };
  expect(JSON.stringify(compose(user).services.web)).not.toContain("static-secret");
  expect(await webSettings(compose(user))).toMatchObject({ withSecret: true });
  expect(await webSettings(plain)).toEqual({
    demoControl: null,
    identitySecret: null,
    ingestUrl: "http://ingest:3000",
    processorUrl: "http://processor:3001",
    posthogUrl: "http://posthog-stand-in:8010",
    posthogKey: "phc_demo",
    fresh: null,
    datasetDir: "dataset",
    console: { publicHost: "localhost", allowedHosts: [], password: null, anonymous: true },
    withSecret: false,
  });
});

/** By the app's own reader, in a process that sees nothing but the container's environment. */
async function webSettings(file: typeof plain): Promise<unknown> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "import { settings } from './web/utils.ts'; console.log(JSON.stringify(settings()));"],
    cwd: ROOT,
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: Deno.env.get("HOME") ?? "",
      ...environmentOf("web", file),
    },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

test("every address of one service in another's environment is one where it listens", () => {
  const ports: Record<string, number[]> = {
    ...Object.fromEntries(OURS.map(({ name, read }) => [name, [read(environmentOf(name)).port]])),
    redpanda: [...kafkaListeners().map(({ port }) => port), 9644],
    mailpit: [1025, 8025],
    minio: [Number(/--address,:(\d+)/.exec(plain.services.minio!.command!.join())![1])],
  };
  const addresses = everyService.flatMap(([name, { environment }]) =>
    Object.entries(environment ?? {}).flatMap(([variable, value]) =>
      [...value.matchAll(/^(?:\w+:\/\/)?([a-z][\w-]*):(\d+)$/g)].map(([, host, port]) => ({
        from: `${name} ${variable}`,
        host: host!,
        port: Number(port),
      }))
    )
  ).filter(({ host }) => host !== "localhost");
  expect(addresses.length).toBeGreaterThan(7);
  for (const { from, host, port } of addresses) expect(ports[host], `${from}: ${host}`).toContain(port);
  expect(readStandInConfig(environmentOf("posthog-stand-in")).target.url).toBe(
    "http://ingest:3000/api/webhooks",
  );
});

test("every published port is one of this machine alone, and no two are the same", () => {
  const published = everyService.flatMap(([, { ports }]) => ports ?? []);
  for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
  expect(new Set(published).size).toBe(published.length);
  expect(published.length).toBeGreaterThan(6);
});

test("PUBLIC_URL leads to the published page", () => {
  const { publicUrl } = readProcessorConfig(environmentOf("processor"));
  expect(plain.services.web!.ports).toEqual([
    `127.0.0.1:${new URL(publicUrl).port}:${new URL(publicUrl).port}`,
  ]);
});

test("every image has an exact version, and our own are built here", () => {
  for (const [name, { image, build }] of everyService) {
    if (build === undefined) expect(image, name).toMatch(/:(v?\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+)(@|$)/);
    else {
      expect(image, name).toMatch(/^posthog-pipeline\/\w+:local$/);
      expect(build.context, name).toBe(".");
      expect(DOCKERFILE.stages.map((stage) => stage.name), name).toContain(build.target);
    }
  }
});

test("nobody is root, in the image or in compose.yaml, and ours may write nothing but their volume and /tmp", () => {
  for (const [name, service] of everyService) {
    expect(service.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(service.logging?.options["max-size"], name).toBeDefined();
  }
  for (const { name } of OURS) {
    const service: ComposeService = plain.services[name]!;
    expect(service.user, name).toBe(stageOf(DOCKERFILE, service.build!.target).user);
    expect(service, name).toMatchObject({
      init: true,
      read_only: true,
      tmpfs: ["/tmp"],
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    });
  }
});

test("a service has longer to stop than it gives itself", () => {
  for (const { name } of OURS) {
    const stop = parseDuration(plain.services[name]!.stop_grace_period!)!;
    expect(stop, name).toBeGreaterThan(DEFAULT_LIMITS.stopMsMax);
  }
});

test.each(OURS)("$name's health check asks its own port", ({ name, read, health }) => {
  const [kind, program, verb, script] = plain.services[name]!.healthcheck!.test;
  expect([kind, program, verb]).toEqual(["CMD", "deno", "eval"]);
  const { port } = read(environmentOf(name));
  expect(script).toContain(`fetch("http://127.0.0.1:${port}${health}"`);
});

test("a health check fails where nothing answers, or something else than 2xx does", async () => {
  const script = plain.services.ingest!.healthcheck!.test[3]!;
  let status = 200;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("", { status }),
  );
  const code = async () => {
    const args = ["eval", script.replace(":3000", `:${server.addr.port}`)];
    return (await new Deno.Command(Deno.execPath(), { args, stderr: "null" }).output()).code;
  };
  expect(await code()).toBe(0);
  status = 503;
  expect(await code()).toBe(1);
  await server.shutdown();
  expect(await code()).not.toBe(0);
});

test("web is healthy only while its page shows its buttons, and says which are missing", async () => {
  const script = plain.services.web!.healthcheck!.test[3]!;
  let html = "";
  let password: string | null = null;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request, info) => {
    const settings = { publicHost: "localhost", allowedHosts: [], password, anonymous: true };
    const refusal = new ConsoleDoor(() => 0).refusal(visitOf(request, info), settings);
    return refusal ? refusalAnswer(refusal) : new Response(html);
  });
  const look = async (env: Record<string, string> = {}) => {
    const args = ["eval", script.replace(":8000", `:${server.addr.port}`)];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, env }).output();
    return { code, words: new TextDecoder().decode(stderr) };
  };
  const [first, second] = PAGE_BUTTONS;
  html = `<button>${first}</button>`;
  expect(await look()).toMatchObject({
    code: 1,
    words: "The page answers 200, and does not show: " + second + "\n",
  });
  html += `<button>${second}</button>`;
  expect(await look()).toMatchObject({ code: 0 });
  password = "pässword";
  expect(await look({ CONSOLE_PASSWORD: password })).toMatchObject({ code: 0 });
  expect(await look({ CONSOLE_PASSWORD: "another" })).toMatchObject({ code: 1 });
  await server.shutdown();
});

test("what is waited for exists, and is healthy only where somebody looks after its health", () => {
  const endsByItself = ({ restart }: ComposeService) => restart === "no";
  for (const [name, service] of everyService) {
    if (!endsByItself(service)) expect(service.healthcheck?.test[0], name).toBe("CMD");
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(Object.keys(plain.services), name).toContain(other);
      const conditions = endsByItself(plain.services[other]!)
        ? ["service_completed_successfully"]
        : ["service_healthy", "service_started"];
      expect(conditions, name).toContain(condition);
    }
  }
  // A broker that is away must not keep ingest from taking webhooks into its spool.
  expect(plain.services.ingest!.depends_on).toEqual({ redpanda: { condition: "service_started" } });
});

test("commands name programs that exist and that the image copies", () => {
  for (
    const [name, { command, build }] of everyService.filter(([, { build, entrypoint }]) =>
      build?.target === "services" && entrypoint === undefined
    )
  ) {
    const [path, ...more] = command!;
    expect(more, name).toEqual([]);
    expect(Deno.statSync(`${ROOT}/${path}`).isFile, name).toBe(true);
    const copied = stageOf(DOCKERFILE, build!.target).steps.flatMap((step) =>
      step.kind === "copy" ? step.from : []
    );
    expect(copied, name).toContain(path!.split("/")[0]);
  }
  expect(plain.services.web!.command).toBeUndefined();
});

test("every volume is declared and mounted where the service keeps its data", () => {
  const mounted = everyService.flatMap(([, { volumes }]) => volumes ?? []).map((volume) =>
    volume.split(":")[0]!
  );
  expect([...new Set(mounted)].sort()).toEqual(Object.keys(plain.volumes).sort());
  const dataDirs = ["ingest", "processor"].map((name) => environmentOf(name).DATA_DIR);
  expect(plain.services.ingest!.volumes).toEqual([`data:${dataDirs[0]}`]);
  expect(plain.services.processor!.volumes).toEqual([`data:${dataDirs[1]}`]);
  const standIn = readStandInConfig(environmentOf("posthog-stand-in"));
  const [volume, path] = plain.services["posthog-stand-in"]!.volumes![0]!.split(":");
  expect(volume).not.toBe("data");
  expect(standIn.directory.startsWith(`${path}/`)).toBe(true);
  expect(plain.services.redpanda!.volumes).toEqual(["redpanda:/var/lib/redpanda/data"]);
});

describe("Redpanda", () => {
  const args = plain.services.redpanda!.command!;
  const set = args.flatMap((arg, i) => arg === "--set" ? [args[i + 1]] : []);

  test("puts a record on disk before it acknowledges it", () => {
    expect(args).toContain("--unsafe-bypass-fsync=false");
    expect(args.filter((arg) => arg.startsWith("--unsafe") || arg.startsWith("--mode"))).toHaveLength(1);
    expect(set).toContain("redpanda.write_caching_default=false");
  });

  test("makes no topic by itself and lets a group start at once", () => {
    expect(set).toContain("redpanda.auto_create_topics_enabled=false");
    expect(set).toContain("redpanda.group_initial_rebalance_delay=0");
  });

  test("is given arguments that rpk takes: one word each, and --set apart from its value", () => {
    for (const arg of args) expect(arg).not.toMatch(/\s|^--set=/);
    for (const value of set) expect(value).toMatch(/^redpanda\.\w+=\w+$/);
  });

  test("advertises each listener at the address at which it is reached", () => {
    const listens = kafkaListeners();
    expect(kafkaListeners("--advertise-kafka-addr").map(({ name, port }) => [name, port])).toEqual(
      listens.map(({ name, port }) => [name, port]),
    );
    const [inside, outside] = kafkaListeners("--advertise-kafka-addr");
    expect(`${inside!.host}:${inside!.port}`).toBe(plain.services.ingest!.environment!.KAFKA_BROKERS);
    expect(`${inside!.host}:${inside!.port}`).toBe(plain.services.console!.environment!.KAFKA_BROKERS);
    expect(outside!.host).toBe("localhost");
    expect(plain.services.redpanda!.ports).toEqual([`127.0.0.1:${outside!.port}:${outside!.port}`]);
  });
});

function kafkaListeners(flag = "--kafka-addr"): { name: string; host: string; port: number }[] {
  const value = plain.services.redpanda!.command!.find((arg) => arg.startsWith(`${flag}=`))!;
  return value.slice(flag.length + 1).split(",").map((listener) => {
    const { protocol, hostname, port } = new URL(listener);
    return { name: protocol.slice(0, -1), host: hostname, port: Number(port) };
  });
}

test("Deno has one version: in the image, in CI and in the GitHub workflow", () => {
  const version = /^denoland\/deno:(\d+\.\d+\.\d+)@/.exec(DOCKERFILE.stages[0]!.from)![1];
  expect(Deno.readTextFileSync(`${ROOT}/.ci/run`)).toContain(`deno@${version} `);
  expect(Deno.readTextFileSync(`${ROOT}/.github/workflows/ci.yml`)).toContain(`deno-version: v${version}\n`);
});

test("variables are put in as Compose does it", () => {
  const env = { SET: "value", EMPTY: "" };
  const cases: [string, string][] = [
    ["a ${SET} b", "a value b"],
    ["${UNSET}", ""],
    ["${SET:-other}", "value"],
    ["${EMPTY:-other}", "other"],
    ["${EMPTY-other}", ""],
    ["${UNSET-other}", "other"],
    ["${SET:+instead}", "instead"],
    ["${EMPTY:+instead}", ""],
    ["${EMPTY+instead}", "instead"],
    ["$${SET}", "${SET}"],
    ["${UNSET:-http://a:1/?b=<c>}", "http://a:1/?b=<c>"],
  ];
  for (const [text, expected] of cases) expect(interpolate(text, env), text).toBe(expected);
  for (const text of ["$SET", "${SET:?no}", "${}"]) {
    expect(() => interpolate(text, env), text).toThrow(/Cannot read/);
  }
});
