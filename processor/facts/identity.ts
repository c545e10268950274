import type { Clock } from "../../runtime/clock.ts";
import { orNull } from "../../contract/envelope.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP, FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { readSecretFact, type SecretFact } from "../../contract/secret_fact.ts";
import { LogSetupError, type TopicLog } from "../../topic/topic.ts";
import { FACTS_TOPIC_SPEC, publishFacts } from "./topic.ts";

/**
 * Which secret this pipeline's keyed hashes are made under: the first fact says it for good. Under another one every
 * person would be a stranger, and everybody would be mailed again.
 */

/** This process works under another secret than the pipeline, or the facts are damaged; nothing may start. */
export class PipelineIdentityError extends Error {
  override name = "PipelineIdentityError";
  readonly code = "pipeline_identity";
}

export type IdentityOptions = {
  /**
   * Evidence that this pipeline has run before, from outside the facts: next offsets per raw partition, of the dataset's
   * manifests or of {@link committedBefore}. Null where there is none.
   */
  readonly ranBefore: Readonly<Record<number, number>> | null;
  readonly hashes: KeyedHashes;
  readonly clock: Clock;
};

/** Whether the secret was already this pipeline's, and the fact that says so. */
export type PipelineIdentity = {
  /** `confirmed`: the first fact was there; `made`: this process published it; `lost`: it had to begin anew. */
  readonly is: "confirmed" | "made" | "lost";
  readonly fact: SecretFact;
};

/**
 * Makes the facts topic where it is missing and confirms the secret. Where there are no facts yet it publishes the first
 * one; two processors may start at once, the first in order holds for both. Where facts are gone although the pipeline
 * has run, that fact carries `lostBefore` = the raw topic's end of this moment: whatever is earned below it may have been
 * mailed in the state that is gone, and ends as `state_lost`.
 *
 * Rejects with {@link PipelineIdentityError} where the secrets differ, with `LogUnavailableError` where the log is away.
 */
export async function confirmSecret(log: TopicLog, options: IdentityOptions): Promise<PipelineIdentity> {
  await log.ensureTopic(FACTS_TOPIC_SPEC);
  const kept = await firstFact(log);
  if (kept !== null) return { is: "confirmed", fact: sameSecret(kept, options.hashes) };
  const lostBefore = await lostBeforeOf(log, options.ranBefore);
  await publishFacts(log, [{
    fact: "secret",
    at: options.clock.now(),
    fingerprint: options.hashes.fingerprint,
    ...(lostBefore === null ? {} : { lostBefore }),
  }]);
  const first = sameSecret((await firstFact(log))!, options.hashes);
  return { is: first.lostBefore === undefined ? "made" : "lost", fact: first };
}

/**
 * Confirms the secret without publishing anything, for commands: where there are no facts yet it holds nothing against
 * any secret. Rejects with {@link PipelineIdentityError} where the secrets differ.
 */
export async function checkSecret(log: TopicLog, hashes: KeyedHashes): Promise<void> {
  let kept: SecretFact | null;
  try {
    kept = await firstFact(log);
  } catch (error) {
    if (error instanceof LogSetupError) return;
    throw error;
  }
  if (kept !== null) sameSecret(kept, hashes);
}

/** Next offsets that discount-offers has committed: evidence that the pipeline has run. Null where there are none. */
export async function committedBefore(log: TopicLog): Promise<Record<number, number> | null> {
  const committed = await log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP);
  const entries = committed.flatMap((offset, partition) => offset ? [[partition, offset] as const] : []);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

async function firstFact(log: TopicLog): Promise<SecretFact | null> {
  const [bounds] = await log.bounds(FACTS_TOPIC);
  if (bounds === undefined || bounds.startOffset === bounds.endOffset) return null;
  const from = bounds.startOffset;
  for await (const { records } of log.read(FACTS_TOPIC, { partition: 0, from, until: bounds.endOffset })) {
    const record = records[0];
    if (record === undefined) continue;
    const fact = orNull(() => readSecretFact(record.value));
    if (fact !== null) return fact;
    throw new PipelineIdentityError(
      `Cannot use ${FACTS_TOPIC}: its first record (offset ${record.offset}) is not the fact that names the secret, ` +
        `so its beginning is gone. Put the topic back from a backup; with its memory incomplete people would be ` +
        `mailed twice.`,
    );
  }
  return null;
}

function sameSecret(fact: SecretFact, hashes: KeyedHashes): SecretFact {
  if (fact.fingerprint === hashes.fingerprint) return fact;
  throw new PipelineIdentityError(
    `Cannot start with this PIPELINE_SECRET (fingerprint ${hashes.fingerprint}): the pipeline's facts were made under ` +
      `another one (fingerprint ${fact.fingerprint}), and it cannot be changed. Set PIPELINE_SECRET to the first one, ` +
      `or put pipeline.secret back into DATA_DIR; several machines need the same one.`,
  );
}

async function lostBeforeOf(
  log: TopicLog,
  ranBefore: IdentityOptions["ranBefore"],
): Promise<Record<string, number> | null> {
  if (ranBefore === null || Object.values(ranBefore).every((offset) => offset === 0)) return null;
  const lost: Record<string, number> = {};
  for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
    // Not only as far as the evidence reaches: mails may have been sent for records behind it.
    lost[partition] = Math.max(endOffset, ranBefore[partition] ?? 0);
  }
  return lost;
}
