import { join, relative } from "node:path";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readStandInConfig } from "../demo/stand_in/config.ts";
import { startPosthogStandIn } from "../demo/stand_in/server.ts";
import { Spool } from "../ingest/spool/spool.ts";
import { renderDiscountEmail } from "../processor/offers/core/discount_email.ts";
import { createMaildirMailer } from "../processor/offers/mail/maildir.ts";
import { beginSenderRun } from "../processor/offers/sender_run.ts";
import { offerViewPath, openViewToWrite } from "../processor/offers/sqlite/schema.ts";
import { systemClock } from "../runtime/clock.ts";
import { enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { noFaultPoint } from "../runtime/fault_point.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";

/** Everything in DATA_DIR but the dataset, which is made to be read, and its locks. */

let dataDir: string;
let umask: number;
beforeEach(async () => {
  umask = Deno.umask(0o022);
  dataDir = await Deno.makeTempDir();
});
afterEach(async () => {
  Deno.umask(umask);
  await Deno.remove(dataDir, { recursive: true });
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

/** Paths with their modes, as `ls` says them in octal. */
function modesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = join(directory, name);
    const mode = (Deno.statSync(path).mode! & 0o777).toString(8);
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

  // While all of it is open: the journals of the databases are there as well.
  const modes = modesIn(dataDir);
  await standIn.stop();
  for (const log of logs) await log.close();
  view.close();
  await mailer.close();
  await spool.close();
  for (const lock of locks) lock.release();

  const directories = ["log", "mail", "mail/new", "mail/tmp", "posthog-stand-in", "spool", "spool/refused"];
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
