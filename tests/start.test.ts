import { describe, expect, test } from "vitest";
import { arrowsOf, SOURCES } from "./support/arrows.ts";

/** What is loaded before a program's first line runs. What it may need only later, it loads there. */
const loads = (from: string, seen = new Set([from])): Set<string> => {
  for (const { to, kind } of SOURCES.includes(from) ? arrowsOf(from) : []) {
    if (kind !== "value" || seen.has(to)) continue;
    seen.add(to);
    loads(to, seen);
  }
  return seen;
};

const packageOf = (path: string) => path.split("/").slice(0, path.startsWith("@") ? 2 : 1).join("/");
const packagesOf = (entry: string) =>
  [
    ...new Set(
      [...loads(entry)].filter((path) => !/\.tsx?$/.test(path) && !path.startsWith("node:")).map(packageOf),
    ),
  ]
    .sort();

describe("a start loads what it uses", () => {
  /** What DATASET_URL says is read wherever settings are, and this imports nothing. */
  const DATASET_URL = "processor/dataset/objects/config.ts";

  test.each([
    ["tools/lag.ts", []],
    ["tools/offers.ts", ["zod"]],
    ["tools/suppress.ts", ["zod"]],
    ["tools/sanitise.ts", []],
    ["tools/skip.ts", []],
    ["tools/dead_letters.ts", ["zod"]],
    ["tools/dataset/main.ts", ["zod"]],
    ["tools/replay/main.ts", ["zod"]],
    ["tools/erase/main.ts", ["zod"]],
    ["tools/backfill/main.ts", ["zod"]],
    ["ingest/main.ts", ["hono", "prom-client"]],
    // Its Workers begin to load behind it: what the service needs comes after that.
    ["processor/main.ts", []],
    ["processor/service.ts", ["hono", "prom-client", "zod"]],
    ["processor/workers/dataset_writer.ts", ["zod"]],
    ["processor/workers/offer_view.ts", ["zod"]],
    ["processor/workers/discount_offers.ts", []],
    ["processor/workers/offer_sender.ts", []],
    ["serve_web/main.ts", ["hono"]],
    ["demo/main.ts", ["hono", "smtp-server"]],
    ["demo/stand_in/main.ts", ["hono", "zod"]],
  ])("%s: of packages %j", (entry, packages) => {
    expect(packagesOf(entry)).toEqual(packages);
  });

  test.each([
    ["tools/lag.ts", ["processor/dataset", "processor/offers/sqlite", "processor/sanitise"]],
    ["tools/offers.ts", ["processor/dataset", "processor/sanitise"]],
    ["processor/workers/offer_view.ts", [
      "processor/dataset",
      "processor/sanitise",
      "processor/offers/sender.ts",
    ]],
    ["processor/workers/discount_offers.ts", [
      "processor/dataset",
      "processor/sanitise",
      "processor/offers/mail",
    ]],
    ["processor/workers/offer_sender.ts", [
      "processor/dataset",
      "processor/sanitise",
      "processor/offers/view.ts",
    ]],
    ["processor/workers/dataset_writer.ts", ["processor/offers"]],
    ["processor/main.ts", [
      "processor/service.ts",
      "topic/sqlite",
      "processor/status",
      "processor/offers/sqlite",
    ]],
    ["processor/service.ts", [
      "processor/sanitise/mod.ts",
      "processor/history.ts",
      "processor/offers/sender.ts",
    ]],
  ])("%s: nothing of %j", (entry, others) => {
    const loaded = [...loads(entry)].filter((path) => path !== DATASET_URL);
    expect(loaded.filter((path) => others.some((other) => path.startsWith(other)))).toEqual([]);
  });

  test("a client of Kafka only where there is a broker, and the whole of prom-client nowhere", () => {
    const mains = SOURCES.filter((path) =>
      /(^|\/)main\.ts$|^processor\/workers\/|^tools\/\w+\.ts$/.test(path)
    );
    const all = new Set(mains.flatMap((path) => [...loads(path)]));
    expect(all.size).toBeGreaterThan(200);
    expect([...all].filter((path) => path.startsWith("topic/kafka/") || path === "kafkajs")).toEqual([]);
    expect([...all].filter((path) => path === "prom-client" || path.startsWith("@aws-sdk/"))).toEqual([]);
  });
});
