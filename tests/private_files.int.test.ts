import { dirname, join, relative } from "node:path";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readStandInConfig } from "../demo/stand_in/config.ts";
import { startPosthogStandIn } from "../demo/stand_in/server.ts";
import { putInPlace, rewriteWithout } from "../processor/dataset/files/erasing.ts";
import { readManifest } from "../processor/dataset/files/manifest.ts";
import { writeDataset } from "../processor/dataset/fixtures/written_dataset.ts";
import { Spool } from "../ingest/spool/spool.ts";
import { renderDiscountEmail } from "../processor/offers/core/discount_email.ts";
import { createMaildirMailer } from "../processor/offers/mail/maildir.ts";
import { beginSenderRun } from "../processor/offers/sender_run.ts";
import { offerViewPath, openViewToWrite } from "../processor/offers/sqlite/schema.ts";
import { systemClock } from "../runtime/clock.ts";
import { accessOf, enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { noFaultPoint } from "../runtime/fault_point.ts";
import { exportDataset } from "../tools/dataset/export/export.ts";
import { takeMemberSlot } from "../topic/kafka/member_slot.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { DatasetFiles } from "../processor/dataset/files/reader.ts";

/** DATA_DIR as other users of the machine see it, by an umask that takes nothing from them. */

let place: string;
/** Not made yet. */
let dataDir: string;
let umask: number;
beforeEach(async () => {
  umask = Deno.umask(0);
  place = await Deno.makeTempDir();
  dataDir = join(place, "data");
});
afterEach(async () => {
  Deno.umask(umask);
  await Deno.remove(place, { recursive: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const RECORD = { key: bytes("ada"), value: bytes("{}"), headers: {}, timestamp: 0 };
const MAIL = renderDiscountEmail({
  code: "SAVE",
  messageId: "<offer.1@shop.example>",
  from: { name: "Shop", address: "offers@shop.example", domain: "shop.example" },
  to: "ada@example.org",
  uses: 5,
  publicUrl: "http://localhost:8000",
  unsubscribeToken: "a.b.c",
});

const modeOf = (path: string) => (Deno.lstatSync(path).mode! & 0o7777).toString(8);

/** Paths with their modes, as `ls` says them in octal. */
function modesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = join(directory, name);
    const mode = (Deno.lstatSync(path).mode! & 0o777).toString(8);
    if (isSymlink) return [];
    return [`${mode} ${relative(dataDir, path)}`, ...(isDirectory ? modesIn(path) : [])];
  }).sort();
}

test("what holds personal data or a secret is the owner's alone: files 0600, directories 0700", async () => {
  const locks = [enterDataDir(dataDir, "ingest"), enterDataDir(dataDir, "processor")];
  createKeyedHashes(pipelineSecret(dataDir, undefined));
  beginSenderRun(dataDir);

  const spool = await Spool.open({
    directory: join(dataDir, "spool"),
    bytesMax: 1024 ** 2,
    segmentBytes: 1024 ** 2,
    faultPoint: noFaultPoint,
    report: () => {},
  });
  await spool.append(RECORD);
  const first = (await spool.read({ recordsMax: 1, bytesMax: 1024 }))!;
  await spool.append(RECORD);
  await spool.markDrained(first);
  await spool.setAside(RECORD, { at: "1-0", reason: "too large" });

  const mailer = createMaildirMailer(dataDir, { now: () => 0 });
  await mailer.send(MAIL, () => Promise.resolve(true));
  const view = openViewToWrite(offerViewPath(dataDir));
  const logs = [
    await openTopicLog({ kind: "embedded", dataDir }, "ingest"),
    await openTopicLog({ kind: "embedded", dataDir }, "processor"),
  ];
  await logs[0]!.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await logs[0]!.publish(WEBHOOKS_TOPIC, [RECORD]);
  await logs[1]!.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  const standIn = startPosthogStandIn(readStandInConfig({ DATA_DIR: dataDir, POSTHOG_STAND_IN_PORT: "0" }), {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: () => {},
  });

  await writeDataset(dataDir);
  const slot = takeMemberSlot(dataDir, "discount-offers")!;
  slot.remember("member");

  // While all of it is open: the journals of the databases are there as well.
  let modes = modesIn(dataDir);
  await standIn.stop();
  for (const log of logs) await log.close();
  view.close();
  await mailer.close();
  await spool.close();
  for (const lock of locks) lock.release();

  slot.release();

  expect(modeOf(dataDir)).toBe("700");
  const inDataset = (line: string) => /^\d+ dataset\.\d/.test(line);
  const dataset = modes.filter(inDataset);
  modes = modes.filter((line) => !inDataset(line));
  expect(dataset.filter((line) => !/^(640|750) |^600 .*(\.window|\.tmp)$/.test(line))).toEqual([]);
  expect(dataset.some((line) => /^640 .*\.jsonl$/.test(line))).toBe(true);
  expect(dataset.some((line) => /^640 .*_manifest\/p00000\.json$/.test(line))).toBe(true);

  const directories = [
    "dataset.locks",
    "kafka-members",
    "log",
    "mail",
    "mail/new",
    "mail/tmp",
    "posthog-stand-in",
    "spool",
    "spool/refused",
  ];
  expect(modes.filter((line) => line.startsWith("700"))).toEqual(directories.map((name) => `700 ${name}`));
  expect(modes.filter((line) => !/^[67]00 /.test(line))).toEqual([]);
  const names = modes.map((line) => line.slice(4));
  const files = [
    "log/ingest.db-wal",
    "log/processor.db",
    "mail/new/offer.1@shop.example.eml",
    "offers.db-wal",
  ];
  for (const name of ["pipeline.secret", "run.json", "spool/mark.json", "spool/refused/1-0.json", ...files]) {
    expect(names).toContain(name);
  }
});

describe("a DATA_DIR that an earlier version, or a copy, has left open", () => {
  const start = () => enterDataDir(dataDir, "ingest").release();
  const left = [
    "log/ingest.db",
    "log/ingest.db-wal",
    "mail/new/a.eml",
    "spool/000000000001.spool",
    "spool/refused/1-0.json",
    "offers.db",
    "offers.db-wal",
    "run.json",
    "pipeline.secret",
    "kafka-members/a.0.id",
    "posthog-stand-in/stand_in.sqlite",
  ];
  const leave = (paths: readonly string[]) => {
    for (const path of paths) {
      Deno.mkdirSync(dirname(join(dataDir, path)), { recursive: true });
      Deno.writeTextFileSync(join(dataDir, path), "x");
    }
  };

  test("is closed at the start of a service, with everything in it", () => {
    leave(left);
    start();
    expect(modeOf(dataDir)).toBe("700");
    expect(modesIn(dataDir).filter((line) => !/^[67]00 /.test(line))).toEqual([]);
    start();
    expect(Deno.readTextFileSync(join(dataDir, "run.json"))).toBe("x");
  });

  test("what somebody else has put there, and what a link leads to, is left alone", () => {
    leave(["backup.sh", "log/ingest.db"]);
    Deno.writeTextFileSync(join(place, "elsewhere"), "x");
    Deno.symlinkSync(join(place, "elsewhere"), join(dataDir, "log", "link"));
    start();
    expect([modeOf(join(dataDir, "backup.sh")), modeOf(join(place, "elsewhere"))]).toEqual(["666", "666"]);
    expect(modeOf(join(dataDir, "log", "ingest.db"))).toBe("600");
  });

  // 0710 lets a group through to the dataset and shows it no names; 2710 hands the group on to new builds.
  test.each([[0o710, "710"], [0o2710, "2710"], [0o750, "700"], [0o2755, "2700"], [0o711, "700"]])(
    "0%o is %s afterwards",
    (before, after) => {
      Deno.mkdirSync(dataDir);
      Deno.chmodSync(dataDir, before);
      start();
      expect(modeOf(dataDir)).toBe(after);
    },
  );

  test("a dataset keeps its group, and the rest of the world goes out at its root", async () => {
    await writeDataset(dataDir);
    const root = Deno.realPathSync(join(dataDir, "dataset"));
    Deno.chmodSync(root, 0o755);
    await writeDataset(dataDir, []);
    expect(modeOf(root)).toBe("750");
  });
});

test("a file that an erasure has written anew is its group's as before", async () => {
  await writeDataset(dataDir);
  const root = Deno.realPathSync(join(dataDir, "dataset"));
  const rewrite = {
    root,
    directory: join(root, "_manifest", "p00000.erasing"),
    theirs: () => true,
    heartbeat: () => Promise.resolve(),
    faultPoint: noFaultPoint,
  };
  const touched = await rewriteWithout(readManifest(root, 0)!.files, rewrite);
  expect(modeOf(rewrite.directory)).toBe("700");
  await putInPlace(touched, rewrite);
  const modes = Object.keys(touched).map((path) => modeOf(join(root, path)));
  expect([modes.length > 0, new Set(modes)]).toEqual([true, new Set(["640"])]);
});

test.each(["parquet", "chat-jsonl", "hf"] as const)(
  "an export as %s is the owner's alone in DATA_DIR, and its group's elsewhere",
  async (format) => {
    await writeDataset(dataDir);
    for (
      const [to, allowed] of [[join(dataDir, "made", "here"), /^[67]00 /], [
        join(place, "there"),
        /^(640|750) /,
      ]] as const
    ) {
      const access = accessOf(to, dataDir);
      await exportDataset(new DatasetFiles(join(dataDir, "dataset")), {
        format,
        to,
        access,
        now: 0,
        signal: new AbortController().signal,
      });
      expect(modesIn(to).length).toBeGreaterThan(1);
      expect([...modesIn(to), `${modeOf(to)} .`].filter((line) => !allowed.test(line))).toEqual([]);
    }
  },
);
