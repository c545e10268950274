import { FACTS_TOPIC } from "../../contract/names.ts";
import type { RecordBatch, TopicRecord } from "../../topic/topic.ts";
import { removeMails } from "./mail/files.ts";
import { openOfferStoreWriter } from "./sqlite/open.ts";
import { reportHealth } from "../loop/health.ts";
import { retrying } from "../loop/consume.ts";
import { decodeFact } from "../facts/facts.ts";
import { factHash, FACTS_TOPIC_SPEC } from "../facts/topic.ts";
import { checkView } from "./view_check.ts";
import type { LoopDependencies } from "../loop/loop.ts";
import type { OfferLoopDependencies } from "./policy.ts";
import { openOfferChannel } from "./channel.ts";
import { offerCode } from "./core/names.ts";
import type { FactToApply, OfferStoreWriter, ViewEnd } from "./store.ts";

/**
 * Follows `discount.facts` and folds each fact, in order, into this process's offer view; the view's only writer.
 * It commits nothing: how far it has come lies in the view itself, in one transaction with what it made of the facts.
 */
export type OfferViewPorts = Omit<LoopDependencies, "hashes"> & {
  readonly store: OfferStoreWriter;
  /** Told after each transaction. */
  readonly moved: () => void;
  /** Deletes the mail files of erased offers on this disk; rejects to be asked again. */
  readonly removeMails?: (messageIds: readonly string[]) => Promise<void> | void;
};

/** A fact of a kind that this version does not know: a view that passed over it would differ from the others'. */
export class NewerFactError extends Error {
  override name = "NewerFactError";
  readonly code = "newer_fact";
}

/** Most facts in one transaction: each writes anew all pages that its facts touch, and hashes lie all over the file. */
const FACTS_PER_TRANSACTION_MAX = 5_000;

/** The loop as main starts it, with the view in DATA_DIR. */
export async function runOfferView(deps: Omit<OfferLoopDependencies, "lineId">): Promise<void> {
  const store = openOfferStoreWriter(deps.config.dataDir, {
    codeOf: (offer) => offerCode(deps.hashes, offer),
  });
  const channel = openOfferChannel(deps.config.dataDir, deps.clock);
  try {
    await followFacts({
      ...deps,
      store,
      moved: channel.notifyApplied,
      removeMails: (messageIds) => removeMails(deps.config.dataDir, messageIds),
    });
  } finally {
    channel.close();
    store.close();
  }
}

/**
 * Applies the facts to the view in their order until `signal` aborts. What fails is tried again for ever and shown as
 * health `waiting`; rejects with what no retry helps against, such as a view that lies ahead of the log.
 */
export async function followFacts(ports: OfferViewPorts): Promise<void> {
  const { clock, report, signal, store } = ports;
  const health = reportHealth(report);
  const trouble = ({ error }: { error: Error }) =>
    health("waiting", `facts cannot be read: ${error.message}`);
  health("starting", "reads the facts");
  await retrying(() => prepare(ports), { clock, signal, trouble });
  // Each failure begins the reading anew where the view stands.
  while (!signal.aborted) {
    await retrying(() => follow(ports, () => health("ready", null)), { clock, signal, trouble });
  }
  store.tidy();
}

async function prepare({ log, store }: OfferViewPorts): Promise<void> {
  await log.ensureTopic(FACTS_TOPIC_SPEC);
  await checkView(log, store.end());
}

async function follow(ports: OfferViewPorts, ready: () => void): Promise<void> {
  const { log, signal, store, faultPoint, moved, report } = ports;
  const from = store.end().nextFact;
  const options = { partition: 0, from, signal, batchRecordsMax: FACTS_PER_TRANSACTION_MAX };
  // What an erasure took before a crash is still to be taken from the disk.
  await tidy(ports);
  if ((await log.bounds(FACTS_TOPIC))[0]!.endOffset <= from) ready();
  for await (const batch of log.read(FACTS_TOPIC, options)) {
    const facts = batch.records.flatMap((record) => toApply(record, ports));
    store.apply(facts, endOf(batch));
    if (facts.some(({ fact }) => fact.fact === "erased")) report({ kind: "forget" });
    moved();
    faultPoint("view.applied");
    if (batch.nextOffset >= batch.endOffset) ready();
    await tidy(ports);
  }
}

function endOf({ records, nextOffset }: RecordBatch): ViewEnd {
  const last = records.at(-1);
  return {
    nextFact: nextOffset,
    last: last === undefined ? null : { offset: last.offset, hash: factHash(last.value) },
  };
}

const decoder = new TextDecoder();

/** Nothing for a record that is no fact: every version passes over it. */
function toApply({ offset, value }: TopicRecord, { report }: OfferViewPorts): FactToApply[] {
  const text = decoder.decode(value);
  const outcome = decodeFact(text);
  if (outcome.ok) return [{ offset, text, fact: outcome.fact }];
  if (outcome.is === "newer") {
    throw new NewerFactError(
      `Cannot apply the fact at offset ${offset} of ${FACTS_TOPIC} (${outcome.reason}): a newer version of the ` +
        `processor made it. Update this one.`,
    );
  }
  const what = `${FACTS_TOPIC} 0:${offset} is no fact (${outcome.reason}); passed over`;
  report({ kind: "log", level: "warn", text: what });
  return [];
}

/** What an erasure took must leave the disk too: the write-ahead log and the mail files. */
async function tidy({ store, clock, signal, removeMails }: OfferViewPorts): Promise<void> {
  while (!signal.aborted && !store.tidy()) await clock.wait(20, signal);
  if (removeMails === undefined) return;
  const mails = store.erasedMails();
  if (mails.length === 0) return;
  await removeMails(mails);
  store.forgetErasedMails(mails);
}
