import { request } from "node:http";
import { join, relative, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { isLoopback } from "../../contract/door.ts";
import { DATASET_WRITER_GROUP, WEBHOOKS_PARTITIONS } from "../../contract/names.ts";
import { DEFAULT_LIMITS, readIngestConfig } from "../../ingest/config.ts";
import { readProcessorConfig } from "../../processor/config.ts";
import { createProcessorMetrics } from "../../processor/status/metrics.ts";
import { readWebConfig } from "../../serve_web/config.ts";
import { startService } from "../support/pipeline.ts";
import { pythonWith } from "../support/python.ts";
import { readDockerfile, stageOf } from "./dockerfile.ts";
import { v8FlagsOf } from "./v8_flags.ts";
import {
  build,
  type Container,
  environmentOf,
  findKustomize,
  type Manifest,
  manifestsIn,
  type Probe,
} from "./kustomize.ts";

/** Nothing here runs a cluster: Kustomize builds what would be sent, schemas and each service's own code judge it. */
const ROOT = resolve(import.meta.dirname!, "../..");
const FOLDER = join(ROOT, "deploy/kubernetes");
const DOCKERFILE = readDockerfile(Deno.readTextFileSync(join(ROOT, "Dockerfile")));
/** The oldest and the newest version of Kubernetes that the manifests are checked against. */
const KUBERNETES = ["1.30", "1.37"];

const SECRET = {
  PIPELINE_SECRET: "a-pipeline-secret-of-a-test",
  WEBHOOK_SIGNING_SECRET: `whsec_${btoa("a key of at least twenty-four bytes")}`,
  CONSOLE_PASSWORD: "console-password-of-a-test",
  SMTP_URL: "smtps://user:pass@smtp.example.org:465",
};
const OPTIONAL = {
  IDENTITY_SECRET: "the application's server knows it",
  KAFKA_SASL_PASSWORD: "password-of-a-user",
  AWS_ACCESS_KEY_ID: "key-of-a-test",
  AWS_SECRET_ACCESS_KEY: "secret-of-a-test",
};
const FIELDS = { "status.podIP": "10.1.2.3" };

const kustomize = await findKustomize();
const keptSpool = await Deno.makeTempDir({ prefix: "kustomize-" });
afterAll(() => Deno.remove(keptSpool, { recursive: true }));
const texts = "absence" in kustomize ? null : {
  example: await build(kustomize, join(FOLDER, "overlays/example")),
  keptSpool: await buildWithKeptSpool(kustomize),
};

/** The base with the component that the example only names. */
async function buildWithKeptSpool(kustomize: { readonly command: readonly string[] }): Promise<string> {
  const at = (path: string) => relative(Deno.realPathSync(keptSpool), join(FOLDER, path));
  const text = `resources: [${at("base")}]\ncomponents: [${at("components/kept-spool")}]\n`;
  await Deno.writeTextFile(join(keptSpool, "kustomization.yaml"), text);
  return await build(kustomize, keptSpool);
}

describe("the manifests for Kubernetes", () => {
  if (texts === null) {
    const why = "absence" in kustomize ? kustomize.absence : "";
    test("are valid, and their containers' settings are taken by the services", (running) =>
      running.skip(why));
    return;
  }
  const example = manifestsIn(texts.example);
  const kept = manifestsIn(texts.keptSpool);
  const of = (kind: string, name: string, among = example): Manifest => {
    const found = among.find((one) => one.kind === kind && one.metadata.name === name);
    if (found === undefined) throw new Error(`There is no ${kind} "${name}".`);
    return found;
  };
  const workloads = example.filter(({ kind }) => ["Deployment", "StatefulSet"].includes(kind));
  const podOf = ({ spec }: Manifest) => spec.template.spec;
  const containerOf = (workload: Manifest): Container => podOf(workload).containers[0];
  const INGEST = of("Deployment", "ingest");
  const PROCESSOR = of("StatefulSet", "processor");
  const WEB = of("Deployment", "web");
  /** With what the image says of itself below it. */
  const environment = (workload: Manifest, secret: Record<string, string> = SECRET) => ({
    ...stageOf(DOCKERFILE, workload === WEB ? "web" : "services").environment,
    ...environmentOf(containerOf(workload), { manifests: example, secret, fields: FIELDS }),
  });
  const OURS = [
    { name: "ingest", workload: INGEST, read: readIngestConfig },
    { name: "processor", workload: PROCESSOR, read: readProcessorConfig },
    { name: "web", workload: WEB, read: readWebConfig },
  ] as const;

  test.for(KUBERNETES)(
    "are what the schemas of Kubernetes %s allow, and nothing else",
    async (version, { skip }) => {
      const python = await pythonWith(join(import.meta.dirname!, "fixtures", "kubernetes_validator.txt"));
      if ("absence" in python) return skip(python.absence);
      const check = async (text: string) => {
        const path = join(keptSpool, `checked-${crypto.randomUUID()}.txt`);
        await Deno.writeTextFile(path, text);
        const { success, stdout, stderr } = await new Deno.Command(join(python.bin, "kubernetes-validate"), {
          args: ["--strict", "-k", version, path],
        }).output();
        return { success, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
      };
      for (const [text, manifests] of [[texts.example, example], [texts.keptSpool, kept]] as const) {
        const { success, said } = await check(text);
        expect(success, said).toBe(true);
        expect(said.match(/passed for resource/g)).toHaveLength(manifests.length);
      }
      const wrong = texts.example.replace("terminationGracePeriodSeconds:", "terminationGracePeriod:");
      expect(await check(wrong)).toMatchObject({
        success: false,
        said: expect.stringContaining("terminationGracePeriod"),
      });
    },
  );

  describe.each([["needed", SECRET], ["possible", { ...SECRET, ...OPTIONAL }]])(
    "with every %s secret",
    (_, secret) => {
      test.each(OURS)(
        "$name takes its environment and listens at its container's port",
        ({ name, workload, read }) => {
          // A password alone is half a login.
          const login = "KAFKA_SASL_PASSWORD" in secret
            ? { KAFKA_SASL_MECHANISM: "SCRAM-SHA-512", KAFKA_SASL_USERNAME: "pipeline" }
            : {};
          const config = read({ ...environment(workload, secret), ...login });
          const [port, ...more] = containerOf(workload).ports;
          expect(more).toEqual([]);
          expect(config.port).toBe(port!.containerPort);
          expect(isLoopback(config.host)).toBe(false);
          expect(config.console).toMatchObject({ password: SECRET.CONSOLE_PASSWORD, anonymous: false });
          const service = of("Service", name).spec;
          expect(service.ports).toEqual([{ name: "http", port: config.port, targetPort: port!.name }]);
        },
      );
    },
  );

  test("ingest and processors share brokers and secret, and each has a DATA_DIR below its own volume", () => {
    const ingest = readIngestConfig(environment(INGEST));
    const processor = readProcessorConfig(environment(PROCESSOR));
    expect(ingest.log).toMatchObject({
      kind: "kafka",
      brokers: ["kafka-0.kafka:9092", "kafka-1.kafka:9092", "kafka-2.kafka:9092"],
    });
    expect(processor.log).toMatchObject({ ...ingest.log, dataDir: processor.dataDir });
    expect(processor.pipelineSecret).toBe(SECRET.PIPELINE_SECRET);
    expect(ingest.pipelineSecret).toBe(SECRET.PIPELINE_SECRET);
    expect(processor.publicUrl).toBe(ingest.publicUrl);
    expect(environment(PROCESSOR).DATASET_URL).toMatch(/^s3:\/\//);
    for (const [workload, { dataDir }] of [[INGEST, ingest], [PROCESSOR, processor]] as const) {
      const mount = containerOf(workload).volumeMounts.find(({ name }) => name === "data")!;
      expect(dataDir.startsWith(`${mount.mountPath}/`)).toBe(true);
    }
    expect(podOf(INGEST).volumes.find(({ name }: { name: string }) => name === "data").ephemeral)
      .toBeDefined();
    expect(PROCESSOR.spec.volumeClaimTemplates.map((claim: Manifest) => claim.metadata.name)).toEqual([
      "data",
    ]);
  });

  test("with its spool kept, ingest has a claim of its own for each pod in place of the one that goes with it", () => {
    const ingest = of("StatefulSet", "ingest", kept);
    expect(kept.some(({ kind }) => kind === "Deployment")).toBe(false);
    expect(ingest.spec.volumeClaimTemplates.map((claim: Manifest) => claim.metadata.name)).toEqual(["data"]);
    expect(podOf(ingest).volumes).toEqual([{ name: "tmp", emptyDir: {} }]);
    expect(containerOf(ingest).volumeMounts).toEqual(containerOf(INGEST).volumeMounts);
    expect(podOf(ingest).terminationGracePeriodSeconds * 1_000).toBeGreaterThan(
      5_000 + DEFAULT_LIMITS.stopMsMax,
    );
  });

  test("every secret comes from the Secret that the page says how to make, none from a manifest, and web knows the password alone", () => {
    const page = Deno.readTextFileSync(join(ROOT, "docs/kubernetes.md"));
    const made = [...page.matchAll(/--from-literal=(\w+)=/g)].map(([, key]) => key!);
    const refs = workloads.flatMap((one) =>
      containerOf(one).env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
    );
    const needed = refs.filter(({ optional }) => optional !== true).map(({ key }) => key);
    expect([...new Set(needed)].sort()).toEqual([...made].sort());
    for (const { name, key, optional } of refs) {
      expect(name).toBe("pipeline");
      if (optional) expect(page, key).toContain(`\`${key}\``);
    }
    expect(example.some(({ kind }) => kind === "Secret")).toBe(false);
    expect(containerOf(WEB).env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef?.key ?? [])).toEqual([
      "CONSOLE_PASSWORD",
    ]);
    expect(page).toContain(`kubectl -n ${INGEST.metadata.namespace} create secret generic pipeline`);
  });

  test("the memory of ingest has its task's bound, that of a processor, which writes into a bucket, the one of docs/dataset.md", () => {
    const { DENO_V8_FLAGS, MALLOC_MMAP_THRESHOLD_ } = environment(PROCESSOR);
    expect(environment(INGEST).DENO_V8_FLAGS).toBe(v8FlagsOf("ingest"));
    expect(Deno.readTextFileSync(join(ROOT, "docs/dataset.md"))).toContain(
      `DENO_V8_FLAGS=${DENO_V8_FLAGS} MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_} deno task processor`,
    );
  });

  test("nobody is root or can become it, and only the volume and /tmp can be written", () => {
    for (const workload of workloads) {
      const stage = stageOf(DOCKERFILE, workload === WEB ? "web" : "services");
      const pod = podOf(workload);
      const { runAsUser, runAsGroup, ...rest } = pod.securityContext;
      expect(`${runAsUser}:${runAsGroup}`).toBe(stage.user);
      expect(rest).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      if (workload !== WEB) {
        expect(rest).toMatchObject({ fsGroup: runAsGroup, fsGroupChangePolicy: "OnRootMismatch" });
      }
      expect(pod.automountServiceAccountToken).toBe(false);
      const { securityContext, resources, volumeMounts } = containerOf(workload);
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(resources).toMatchObject({
        requests: { cpu: expect.anything(), memory: expect.anything() },
        limits: { memory: expect.anything() },
      });
      expect(volumeMounts.map(({ mountPath }) => mountPath)).toEqual(
        workload === WEB ? ["/tmp"] : ["/data", "/tmp"],
      );
    }
  });

  test("images are those that the Dockerfile makes, under a name of the overlay's, and commands are in them", () => {
    for (const [workload, stage] of [[INGEST, "services"], [PROCESSOR, "services"], [WEB, "web"]] as const) {
      const { image, args } = containerOf(workload);
      expect(image).toMatch(new RegExp(`^registry\\.example/posthog-pipeline/${stage}:\\d+\\.\\d+\\.\\d+$`));
      const copied = stageOf(DOCKERFILE, stage).steps.flatMap((step) =>
        step.kind === "copy" ? step.from : []
      );
      for (const path of args ?? []) {
        expect(Deno.statSync(join(ROOT, path)).isFile).toBe(true);
        expect(copied).toContain(path.split("/")[0]);
      }
    }
    expect(containerOf(WEB).args).toBeUndefined();
  });

  test("what selects pods selects those of one service", () => {
    const selecting = example.flatMap(({ kind, metadata, spec }) => {
      const labels = {
        Service: spec?.selector,
        PodDisruptionBudget: spec?.selector?.matchLabels,
        NetworkPolicy: spec?.podSelector?.matchLabels,
      }[kind];
      return labels === undefined ? [] : [{ kind, name: metadata.name, labels: Object.entries(labels) }];
    });
    const selected = selecting.map(({ kind, name, labels }) => {
      const pods = workloads.filter(({ spec }) =>
        labels.every(([key, value]) => spec.template.metadata.labels[key] === value)
      );
      return [kind, name, pods.map(({ metadata }) => metadata.name)];
    });
    expect(selected.every(([, name, pods]) => JSON.stringify(pods) === JSON.stringify([name]))).toBe(true);
    for (const kind of ["Service", "PodDisruptionBudget", "NetworkPolicy"]) {
      for (const name of ["ingest", "processor"]) expect(selected).toContainEqual([kind, name, [name]]);
    }
    for (const { spec } of workloads) {
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    }
  });

  test("a budget lets one pod go and is no bar to it, and more than one pod stands behind it", () => {
    for (const name of ["ingest", "processor"]) {
      expect(of("PodDisruptionBudget", name).spec.maxUnavailable).toBe(1);
    }
    expect(INGEST.spec.replicas).toBeGreaterThan(1);
    expect(of("HorizontalPodAutoscaler", "processor").spec.minReplicas).toBeGreaterThan(1);
    expect(of("StatefulSet", "processor", kept).spec.replicas).toBeGreaterThan(1);
  });

  test("every pod has longer to stop than its service gives itself", () => {
    for (const workload of workloads) {
      expect(podOf(workload).terminationGracePeriodSeconds * 1_000).toBeGreaterThan(DEFAULT_LIMITS.stopMsMax);
    }
  });

  test("processors are as many as the lag asks for, by a metric that they tell, and never more than partitions", async () => {
    const { scaleTargetRef, maxReplicas, metrics } = of("HorizontalPodAutoscaler", "processor").spec;
    expect(scaleTargetRef).toEqual({
      apiVersion: "apps/v1",
      kind: PROCESSOR.kind,
      name: PROCESSOR.metadata.name,
    });
    expect(PROCESSOR.spec.replicas).toBeUndefined();
    expect(maxReplicas).toBe(WEBHOOKS_PARTITIONS);
    const { name, selector } = metrics[0].external.metric;
    expect(selector.matchLabels).toEqual({ group: DATASET_WRITER_GROUP });
    const [rule] =
      parse(Deno.readTextFileSync(join(FOLDER, "components/autoscale/prometheus-adapter.yaml"))).rules
        .external;
    expect(rule.name.as).toBe(name);
    const partition = { partition: 0, nextOffset: 0, endOffset: 7, lag: 7, lagSeconds: 1 };
    const group = { group: DATASET_WRITER_GROUP, topic: "t", lag: 7, lagSeconds: 1, partitions: [partition] };
    const told = await createProcessorMetrics({ uncaught: () => 0, breaches: () => [] }).text({
      status: {
        log: "kafka",
        groups: [group],
        dataset: { records: 0, bytes: 0, files: 0 },
        offers: {},
        deadLetters: { total: 0, byReason: {} },
        mails: {},
      },
      ever: { records: 0, lines: 0, duplicates: 0 },
      placeholders: {},
      promptLengths: [],
      lettersByStep: new Map(),
      diskFreeBytes: null,
      // deno-lint-ignore no-explicit-any -- Only what the rule looks at.
    } as any);
    expect(told).toContain(`${rule.seriesQuery}{group="${DATASET_WRITER_GROUP}",partition="0"} 7`);
    expect(rule.metricsQuery).toBe(`sum(max by (partition) (${rule.seriesQuery}{<<.LabelMatchers>>}))`);
  });

  describe("with the services themselves, whose broker is nowhere", () => {
    let root: string;
    const services: Record<string, Awaited<ReturnType<typeof startService>>> = {};
    beforeAll(async () => {
      root = await Deno.makeTempDir({ prefix: "kubernetes-" });
      for (const [name, workload] of [["ingest", INGEST], ["processor", PROCESSOR]] as const) {
        services[name] = await startService(name, {
          ...environment(workload, { ...SECRET, ...OPTIONAL, KAFKA_SASL_PASSWORD: "" }),
          DATA_DIR: join(root, name),
          KAFKA_BROKERS: "127.0.0.1:1",
          AWS_ENDPOINT_URL: "http://127.0.0.1:1",
        });
      }
    });
    afterAll(async () => {
      for (const service of Object.values(services)) await service.kill();
      await Deno.remove(root, { recursive: true });
    });

    const passes = async (name: string, probe: Probe): Promise<boolean> => {
      const workload = name === "ingest" ? INGEST : PROCESSOR;
      const { ports } = containerOf(workload);
      const own = Number(new URL(services[name]!.url).port);
      if (probe.exec) {
        const [deno, verb, script] = probe.exec.command;
        expect([deno, verb]).toEqual(["deno", "eval"]);
        expect(script).toContain(`"http://127.0.0.1:${ports[0]!.containerPort}/`);
        return (await evaluate(script!.replace(/(?<=127\.0\.0\.1:)\d+/, String(own)))).success;
      }
      expect(ports.map(({ name }) => name)).toContain(probe.httpGet!.port);
      return await asTheKubelet(probe.httpGet!, own);
    };

    test("ingest is alive and ready, since its spool takes what comes", async () => {
      const { startupProbe, livenessProbe, readinessProbe } = containerOf(INGEST);
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
        expect(await passes("ingest", probe)).toBe(true);
      }
      expect(await passes("ingest", { httpGet: { ...livenessProbe.httpGet!, path: "/nowhere" } })).toBe(
        false,
      );
    });

    test("a processor that waits is not ready, and alive, so that nobody kills it for waiting", async () => {
      const { startupProbe, livenessProbe, readinessProbe } = containerOf(PROCESSOR);
      for (const probe of [startupProbe, livenessProbe]) expect(await passes("processor", probe)).toBe(true);
      expect(await passes("processor", readinessProbe)).toBe(false);
    });
  });

  test.each<[string, readonly Record<string, unknown>[]]>([
    ["its spool holds something", [{ durable: "spool", spooled: 3 }, { durable: "log", spooled: 1 }]],
    ["the log is away", [{ durable: "spool", spooled: 0 }]],
    ["it cannot make a webhook durable", [{ spool: "full", spooled: 0 }]],
    ["a webhook that the log refused lies in its files", [{ durable: "log", spooled: 0, refused: 1 }]],
    ["it does not answer", [{}]],
  ])("a pod of ingest that is to go stays while %s", async (_, before) => {
    const answers = [...before, { durable: "log", spooled: 0 }];
    let asked = 0;
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
      expect(new URL(url).pathname).toBe("/readyz");
      const answer = answers[asked++] ?? {};
      return Object.keys(answer).length === 0 ? new Response("no JSON") : Response.json(answer);
    });
    const [deno, verb, script] = containerOf(INGEST).lifecycle!.preStop.exec!.command;
    expect([deno, verb]).toEqual(["deno", "eval"]);
    expect(script).toContain(`"http://127.0.0.1:${containerOf(INGEST).ports[0]!.containerPort}/readyz"`);
    const quick = script!.replace(/wait\(\d+\)/g, "wait(1)").replace(
      /(?<=127\.0\.0\.1:)\d+/,
      String(server.addr.port),
    );
    expect((await evaluate(quick)).success).toBe(true);
    expect(asked).toBe(answers.length);
    await server.shutdown();
  });
});

async function evaluate(script: string) {
  return await new Deno.Command(Deno.execPath(), { args: ["eval", script], stderr: "null" }).output();
}

/** From another address than loopback where this machine has one, with the headers that it is told to send. */
function asTheKubelet(
  { path, httpHeaders = [] }: NonNullable<Probe["httpGet"]>,
  port: number,
): Promise<boolean> {
  const own = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !isLoopback(address)
  );
  const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]));
  return new Promise((done, failed) => {
    request({ host: own?.address ?? "127.0.0.1", port, path, headers }, (response) => {
      response.resume();
      done(response.statusCode! >= 200 && response.statusCode! < 400);
    }).on("error", failed).end();
  });
}
