import { deadLetterRecord } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_PARTITIONS, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { erasure, failure, personIn, recordOfBody, use } from "../../processor/dataset/fixtures/records.ts";
import { hashes } from "../../processor/dataset/fixtures/run.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { RecordToPublish, TopicLog } from "../../topic/topic.ts";

/**
 * A topic with everything that a replay has to get right: repeats near and far, records that nobody can parse, records
 * with an older letter and its redriven copy, other events, several days, late events, personal distinct_ids, erasures.
 * The same seed gives the same topic. Two thirds of it lie in partition 3.
 */
export async function fillTopic(
  log: TopicLog,
  { seed, count, dedupWindow }: {
    readonly seed: number;
    readonly count: number;
    /** Far repeats lie beyond it. */
    readonly dedupWindow: number;
  },
): Promise<void> {
  await makeTopics(log);
  const random = randomFrom(seed);
  for (let from = 0; from < count; from += 1000) {
    const records = Array.from(
      { length: Math.min(1000, count - from) },
      (_, i) => recordAt(from + i, { random, dedupWindow }),
    );
    const positions = await log.publish(WEBHOOKS_TOPIC, records);
    await setSomeAside(log, records.map((record, i) => ({ ...record, ...positions[i]! })));
    if (from % 5000 === 2000) await erasePerson(log, from / 5000 | 0);
  }
}

export async function makeTopics(log: TopicLog): Promise<void> {
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
}

const CROWD = Array.from({ length: 40 }, (_, n) => personIn(3, n));
const WORDS = [
  "write",
  "a",
  "mail",
  "to",
  "jane.doe@example.com",
  "about",
  "+1 415 555 0132",
  "ü\u2028x",
  "😀",
  "\t",
];

function recordAt(
  n: number,
  { random, dedupWindow }: { readonly random: () => number; readonly dedupWindow: number },
): RecordToPublish {
  const r = random();
  const distinctId = random() < 0.66
    ? CROWD[Math.floor(random() * CROWD.length)]!
    : random() < 0.1
    ? `person${n % 50}@example.test`
    : `user-${n % 300}`;
  const prompt =
    Array.from({ length: 3 + Math.floor(random() * 9) }, () => WORDS[Math.floor(random() * WORDS.length)])
      .join(" ") + ` ${n}`;
  const timestamp = new Date(Date.UTC(2025, 10, 24 + n % 7) + n * 1000).toISOString();
  const details = { distinctId, prompt, timestamp, receivedAt: Date.UTC(2025, 10, 30, 17) + n * 20 };
  if (r < 0.02) return failure(n, { ...details, prompt: n });
  if (r < 0.025) return recordOfBody({ nothing: n }, { receivedAt: details.receivedAt });
  if (r < 0.25) return use(n, distinctId);
  if (r < 0.33) return failure(Math.max(0, n - 1 - Math.floor(random() * 20)), details);
  if (r < 0.35) return failure(Math.max(0, n - 2 * dedupWindow), details);
  if (r < 0.37) return failure(n, { ...details, timestamp: null });
  return failure(n, { ...details, person: n % 3 === 0 ? { email: `person${n % 50}@example.test` } : {} });
}

/** As an older sanitiser would have set good records aside; half of them redriven since. */
async function setSomeAside(
  log: TopicLog,
  records: readonly (RecordToPublish & { readonly partition: number; readonly offset: number })[],
): Promise<void> {
  const chosen = records.filter(({ headers }, i) => i % 97 === 13 && headers.event === "generation_failed");
  await log.publish(
    DEAD_LETTER_TOPIC,
    chosen.map((record) =>
      deadLetterRecord(record, {
        topic: WEBHOOKS_TOPIC,
        reason: "the sanitiser refused the text",
        step: "sanitise",
      })
    ),
  );
  const again = chosen.filter((_, i) => i % 2 === 0);
  await log.publish(
    WEBHOOKS_TOPIC,
    again.map(({ offset: _, ...record }) => ({ ...record, headers: { ...record.headers, redrives: "1" } })),
  );
}

/** One record in every partition, as the command publishes it. */
export async function erasePerson(
  log: TopicLog,
  n: number,
  { distinctId = CROWD[n % CROWD.length]!, at = "2025-11-30T17:00:30.000Z" } = {},
): Promise<void> {
  await log.publish(
    WEBHOOKS_TOPIC,
    Array.from(
      { length: WEBHOOKS_PARTITIONS },
      (_, partition) => erasure([hashes.subject(distinctId)], { at, partition, n: n * 100 + partition }),
    ),
  );
}

/** Numbers from 0 to below 1; the same seed gives the same ones (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
