import { deadLetterRecord } from "../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { DeadLetterList } from "../processor/dead_letter_list.ts";
import { createDeadLetters } from "../processor/dead_letters.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { RecordPosition, RecordToPublish, TopicRecord } from "../topic/topic.ts";
import { MemoryLog } from "./memory_log.ts";

export type SetAside = {
  readonly id?: string;
  readonly reason?: string;
  readonly step?: "parse" | "sanitise" | "erase";
  readonly redrives?: number;
  readonly value?: string | Uint8Array;
  readonly partition?: number;
};

const encoder = new TextEncoder();
const RECEIVED_AT = Date.UTC(2025, 10, 30, 16, 38);

/**
 * The two topics of dead letters in memory, with the real list and the real redriving over them. Not imitated: the
 * dataset writer, which would set a copy aside again, and the lock on disk; `hold` stands for somebody who has it.
 */
export function startDeadLetterWorld({ dedupWindow = 100_000 }: { dedupWindow?: number } = {}) {
  const log = new MemoryLog();
  log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  const list = new DeadLetterList(log);
  let holder: string | null = null;
  let mayRedrive: string | null = null;
  const letters = createDeadLetters({
    log,
    list,
    dedupWindow,
    locks: () => ({
      takeMaintenance: (what = "somebody") => {
        if (holder !== null) return null;
        holder = what;
        return { release: () => holder = null };
      },
      maintenanceUnderWay: () => holder ?? "somebody",
      close: () => {},
    }),
    now: () => RECEIVED_AT,
    reach: () => {},
    whyNot: () => mayRedrive,
  });
  const publish = async (record: RecordToPublish): Promise<RecordPosition> =>
    (await log.publish(WEBHOOKS_TOPIC, [record]))[0]!;

  return {
    log,
    list,
    letters,
    dedupWindow,
    /** A record of the raw topic; without more, a delivery of the event `id`. */
    deliver: (id: string, { redrives = 0, value, partition = 3 }: SetAside = {}) =>
      publish(rawRecord(id, { redrives, partition, ...(value === undefined ? {} : { value }) })),
    /** A record and its letter, as the dataset writer leaves them; answers the letter's id. */
    async setAside(
      { id = crypto.randomUUID(), reason = "properties.input_prompt is no text", step = "parse", ...rest }:
        SetAside = {},
    ): Promise<string> {
      const record = rawRecord(id, { partition: 3, redrives: 0, ...rest });
      const source = { ...record, ...await publish(record) };
      const letter = deadLetterRecord(source, { topic: WEBHOOKS_TOPIC, reason, step });
      const [position] = await log.publish(DEAD_LETTER_TOPIC, [letter]);
      return `${position!.partition}:${position!.offset}`;
    },
    copies: (): readonly TopicRecord[] =>
      [0, 1, 2, 3, 4, 5].flatMap((partition) => log.records(WEBHOOKS_TOPIC, partition))
        .filter(({ headers }) => headers.redrives !== undefined),
    /** A replay or an erasure, until null is given. */
    hold: (what: string | null) => holder = what,
    forbid: (words: string | null) => mayRedrive = words,
  };
}

export type DeadLetterWorld = ReturnType<typeof startDeadLetterWorld>;

function rawRecord(
  id: string,
  { redrives, value = `{"event":"generation_failed","id":"${id}"}`, partition }: {
    redrives: number;
    value?: string | Uint8Array;
    partition: number;
  },
): RecordToPublish {
  return {
    key: encoder.encode(`user-${id}`),
    value: typeof value === "string" ? encoder.encode(value) : value,
    headers: { id, event: "generation_failed", ...(redrives > 0 ? { redrives: String(redrives) } : {}) },
    timestamp: RECEIVED_AT,
    partition,
  };
}
