import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { Figures } from "../../contract/processor_api.ts";
import {
  offerOf,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { until } from "../support/until.ts";

/** Real services with traffic of every kind, a processor that is killed with -9 and comes back, and what they say of it all. */

const ROOT = resolve(import.meta.dirname!, "../..");
const read = (path: string) => Deno.readTextFileSync(resolve(ROOT, path));

/** A metric as a service tells it: labels of all its samples, and the samples. */
type Metric = { readonly type: string; readonly samples: Sample[] };
type Sample = { readonly name: string; readonly labels: Record<string, string>; readonly value: number };

let dataDir: string;
let ingest: Service;
let processor: Service;
let before: { figures: Figures; metrics: Map<string, Metric> };
let after: { figures: Figures; metrics: Map<string, Metric> };
let ofIngest: Map<string, Metric>;

beforeAll(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "figures-" });
  const env = { DATA_DIR: dataDir, DISCOUNT_WAIT: "1ms" };
  ingest = await startService("ingest", env);
  processor = await startService("processor", env);
  await traffic();
  await untilCaughtUp(processor.url);
  await until("the mail is sent", async () => (await offerOf(processor.url, "buyer"))?.state === "offered");
  before = await look();
  // What a kill may lose is what came since the file was written last.
  await until("lag and latency are on disk", () => {
    const file = `${dataDir}/figures.json`;
    if (!existsSync(file)) return false;
    const { minutes } = JSON.parse(Deno.readTextFileSync(file)) as { minutes: { latencies: number[] }[] };
    const kept = minutes.flatMap(({ latencies }) => latencies).reduce((sum, count) => sum + count, 0);
    return kept === before.figures.latency.count;
  }, { limitMs: 30_000 });
  await processor.kill();
  processor = await startService("processor", env);
  await untilCaughtUp(processor.url);
  after = await look();
  ofIngest = metricsIn(await textOf(`${ingest.url}/metrics`));
}, 120_000);

afterAll(async () => {
  await processor?.stop();
  await ingest?.stop();
  await Deno.remove(dataDir, { recursive: true });
});

async function traffic(): Promise<void> {
  const send = async (body: string, status = 200) => expect(await post(ingest.url, body)).toBe(status);
  for (let n = 0; n < 6; n++) {
    const properties = {
      input_prompt: `write to jane.doe@example.com ${n}`,
      failure_reason: n < 4 ? "timeout" : "500",
    };
    await send(posthogBody({ distinctId: `user-${n}`, properties }));
  }
  const twice = posthogBody({ properties: { input_prompt: "a".repeat(100) } });
  await send(twice);
  await send(twice);
  await send(posthogBody({ properties: { failure_reason: "no prompt" } }));
  await send("no JSON", 400);
  for (let n = 0; n < 5; n++) {
    await send(posthogBody({ event: "feature_used", distinctId: "buyer", email: "buyer@example.com" }));
  }
}

async function look() {
  // Answers are kept for 2 s: asked until this one has all.
  const status = (await statusOf(processor.url))!;
  const figures = await until("the figures have every line", async () => {
    const found = JSON.parse(await textOf(`${processor.url}/api/figures`)) as Figures;
    const lines = found.days.reduce((sum, day) => sum + day.lines, 0);
    return lines === status.dataset.records && found.minutes.every(({ records }) => records !== null) &&
      found;
  });
  return { figures, metrics: metricsIn(await textOf(`${processor.url}/metrics`)) };
}

async function textOf(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

function metricsIn(text: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  let last: Metric | null = null;
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type) metrics.set(type[1]!, last = { type: type[2]!, samples: [] });
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!sample) continue;
    const labels = [...(sample[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    last!.samples.push({
      name: sample[1]!,
      labels: Object.fromEntries(labels.map(([, name, value]) => [name!, value!])),
      value: Number(sample[3]),
    });
  }
  return metrics;
}

function valuesOf(metrics: Map<string, Metric>, name: string): Record<string, number> {
  return Object.fromEntries(
    metrics.get(name)!.samples.map(({ labels, value }) => [Object.values(labels).join(" "), value]),
  );
}

describe("the figures", () => {
  test("tell the last hour, and what all lines come to", () => {
    const { minutes, latency, days, reasons, otherReasons, promptLengths, uncounted } = before.figures;
    expect(minutes).toHaveLength(61);
    expect(minutes.reduce((sum, { records }) => sum + records!, 0)).toBe(14);
    expect(minutes.at(-1)!.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z$/);
    expect(latency.count).toBe(7);
    expect(latency.buckets.reduce((sum, { count }) => sum + count, 0)).toBe(7);
    expect(days.map(({ lines, placeholders }) => [lines, placeholders])).toEqual([[7, { EMAIL_ADDRESS: 6 }]]);
    expect([reasons, otherReasons, uncounted]).toEqual([
      [{ reason: "timeout", lines: 4 }, { reason: "500", lines: 2 }, { reason: null, lines: 1 }],
      0,
      0,
    ]);
    expect(promptLengths.filter(({ lines }) => lines > 0)).toEqual([{ upTo: 32, lines: 6 }, {
      upTo: 128,
      lines: 1,
    }]);
  });

  test("are the same after kill -9", () => {
    const { minutes: _, ...figures } = before.figures;
    expect(after.figures).toMatchObject(figures);
    expect(after.figures.minutes.reduce((sum, { records }) => sum + records!, 0)).toBe(14);
  });

  test("so are the totals in /metrics that manifests and topics know", () => {
    for (const name of ["lines", "duplicates", "dead_letters"].map((one) => `processor_${one}_total`)) {
      expect([name, valuesOf(after.metrics, name)]).toEqual([name, valuesOf(before.metrics, name)]);
    }
    expect(valuesOf(after.metrics, "processor_lines_total")).toEqual({ "dataset-writer": 7 });
    expect(valuesOf(after.metrics, "processor_duplicates_total")).toEqual({ "dataset-writer": 1 });
    expect(valuesOf(after.metrics, "processor_dead_letters_total")).toEqual({
      parse: 1,
      sanitise: 0,
      erase: 0,
      read: 0,
    });
    expect(valuesOf(after.metrics, "processor_records_total")["dataset-writer"]).toBe(14);
    expect(valuesOf(after.metrics, "processor_dataset_placeholders")).toEqual({ EMAIL_ADDRESS: 6 });
    expect(valuesOf(after.metrics, "processor_mail_outcomes").accepted).toBe(1);
  });
});

/** Of both services; where a label has appeared in one of the two looks at the processor it is there. */
function told(): Map<string, Metric> {
  const all = new Map(ofIngest);
  for (const [name, { type, samples }] of after.metrics) {
    all.set(name, { type, samples: [...samples, ...before.metrics.get(name)!.samples] });
  }
  return all;
}

describe("the names", () => {
  test("are those of docs/metrics.md, with their types and labels", () => {
    const rows = [...read("docs/metrics.md").matchAll(/^\| `(\w+)`\s*\| (\w+)\s*\| ([^|]*)\|/gm)];
    const listed = rows.map(([, name, type, labels]) => ({
      name,
      type,
      labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label).sort(),
    }));
    const found = [...told()].map(([name, { type, samples }]) => {
      const labels = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].sort();
      // Nothing has happened that would show them.
      return {
        name,
        type,
        labels: samples.length > 0 ? labels : listed.find((one) => one.name === name)?.labels,
      };
    });
    const byName = (a: { name?: string }, b: { name?: string }) => a.name! < b.name! ? -1 : 1;
    expect(found.toSorted(byName)).toEqual(listed.toSorted(byName));
  });

  const dashboard = JSON.parse(read("deploy/grafana/dashboard.json"));
  const alerts = parse(read("deploy/grafana/alerts.yaml")) as {
    groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
  };
  const rules = alerts.groups.flatMap((group) => group.rules);
  const panels = dashboard.panels as {
    title: string;
    type: string;
    targets?: { expr: string; legendFormat: string }[];
  }[];
  const targets = panels.flatMap(({ title, targets = [] }) =>
    targets.map((one) => ({ where: title, ...one }))
  );

  test.each([
    ...targets.map(({ where, expr }) => [`panel "${where}"`, expr] as const),
    ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const),
  ])("%s: %s is PromQL of metrics and labels that there are", (_, expr) => {
    expect(faultsOf(expr, told())).toEqual([]);
  });

  test("of legends and of words of alerts are labels that their expressions keep", () => {
    const used = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, label]) => label!);
    const kept = (expr: string) => used(expr, /by \(([^)]*)\)/g).flatMap((list) => list.split(", "));
    const faults = [
      ...targets.map(({ where, expr, legendFormat }) => ({
        where,
        labels: used(legendFormat, /\{\{(\w+)\}\}/g),
        kept: kept(expr),
      })),
      ...rules.map(({ alert, expr, annotations }) => ({
        where: alert,
        labels: used(Object.values(annotations).join(" "), /\$labels\.(\w+)/g),
        kept: kept(expr),
      })),
    ].filter(({ labels, kept }) => !labels.every((label) => kept.includes(label)));
    expect(faults).toEqual([]);
  });

  test("the dashboard takes its data source from a variable, and asks it of metrics that there are", () => {
    const variables = dashboard.templating.list as { name: string; type: string; definition?: string }[];
    expect(variables.find(({ type }) => type === "datasource")?.name).toBe("datasource");
    const sources = JSON.stringify(dashboard).matchAll(
      /"datasource":\{"type":"prometheus","uid":"([^"]*)"\}/g,
    );
    expect(new Set([...sources].map(([, uid]) => uid))).toEqual(new Set(["${datasource}"]));
    for (const { definition } of variables.filter(({ type }) => type === "query")) {
      const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition!)!;
      expect(told().get(metric!)!.samples.every(({ labels }) => label! in labels)).toBe(true);
    }
  });
});

describe("the check of expressions finds", () => {
  test.each([
    ["a name that nobody tells", "processor_line_total", "processor_line_total is told by nobody"],
    ["a label that it has not", 'processor_offers{status="waiting"}', "processor_offers has no label status"],
    ["a label to group by", "max by (topic) (processor_offers)", "processor_offers has no label topic"],
    ["a value that there is not", 'processor_offers{state="lost"}', "processor_offers has no state lost"],
    ["no PromQL", "max by (group) (processor_lag_seconds", "cannot be parsed"],
  ])("%s", (_, expr, fault) => {
    expect(faultsOf(expr, told())).toContain(fault);
  });
});

/** Of what may be any HTTP status nobody knows which have been. */
const ANY_VALUE = new Set(["status"]);

function faultsOf(written: string, metrics: Map<string, Metric>): string[] {
  const expr = written.replaceAll("$__rate_interval", "5m").replaceAll("$group", ".*");
  const faults = new Set<string>();
  let samples: Sample[] = [];
  const names: string[] = [];
  const grouped: string[] = [];
  let label = "";
  let op = "";
  parser.parse(expr).iterate({
    enter(node) {
      const text = expr.slice(node.from, node.to);
      if (node.type.isError) faults.add("cannot be parsed");
      else if (node.name === "Identifier") {
        const name = [...metrics].find(([, metric]) => metric.samples.some((one) => one.name === text))?.[0];
        if (name === undefined && !metrics.has(text)) faults.add(`${text} is told by nobody`);
        samples = metrics.get(name ?? text)?.samples.filter((one) => one.name === text) ?? [];
        names.push(text);
      } else if (node.name === "LabelName" && node.node.parent?.name === "GroupingLabels") grouped.push(text);
      else if (node.name === "LabelName") {
        label = text;
        if (samples.length > 0 && !samples.every(({ labels }) => label in labels)) {
          faults.add(`${names.at(-1)} has no label ${label}`);
        }
      } else if (node.name === "MatchOp") op = text;
      else if (node.name === "StringLiteral" && node.node.parent?.name.endsWith("LabelMatcher")) {
        const value = text.slice(1, -1);
        const matches = (given = "") =>
          op === "=" ? given === value : new RegExp(`^(?:${value})$`).test(given);
        const isThere = samples.some(({ labels }) => matches(labels[label]));
        if (samples.length > 0 && !ANY_VALUE.has(label) && !isThere) {
          faults.add(`${names.at(-1)} has no ${label} ${value}`);
        }
      }
    },
  });
  for (const one of grouped) {
    for (const name of names) {
      const those = [...metrics.values()].flatMap((metric) => metric.samples).filter((sample) =>
        sample.name === name
      );
      if (those.length > 0 && !those.every(({ labels }) => one in labels)) {
        faults.add(`${name} has no label ${one}`);
      }
    }
  }
  return [...faults];
}
