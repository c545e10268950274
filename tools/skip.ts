import {
  DATASET_WRITER_GROUP,
  DEAD_LETTER_TOPIC,
  DISCOUNT_OFFERS_GROUP,
  WEBHOOKS_TOPIC,
} from "../contract/names.ts";
import { UNREADABLE, unreadableLetterRecord } from "../contract/dead_letter.ts";
import { readCommandConfig } from "../processor/config.ts";
import { DeadLetterIndex } from "../processor/dead_letters/mod.ts";
import { DEAD_LETTER_TOPIC_SPEC } from "../topic/raw_topics.ts";
import {
  type RecordPosition,
  type TopicLog,
  type UnreadableRecords,
  UnreadableRecordsError,
} from "../topic/topic.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  print,
  printable,
  printJson,
  refuseMissing,
  runCommand,
  UsageError,
  withLog,
} from "./command.ts";

/** Characters of an operator's reason: it lies in a header. */
const WORDS_MAX = 1_000;

/** `deno task skip`: what cannot be read becomes a dead letter, so that its partition goes on behind it. */
export const skipCommand: Command = {
  help: `Sets aside what cannot be read, as a dead letter, so that its partition goes on.

Usage: deno task skip PARTITION:OFFSET --reason TEXT [--json]

  PARTITION:OFFSET  where the partition of ${WEBHOOKS_TOPIC} stands: the processor's log, /readyz and "deno task lag"
                    name it; what can be read is refused
  --reason          why it is given up, for whoever reads the letter later; at most ${WORDS_MAX} characters
  --json            the letter as one JSON object

Both groups pass over it within 5 seconds, and every replay does. The letter keeps the bytes as they lie in the log, at
most 1 MiB of them ("deno task dead-letters show"); without a record there is nothing to redrive.
`,
  options: { reason: { type: "string" } },
  async run(line) {
    const { position, words } = wishOf(line);
    const config = readCommandConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      const index = new DeadLetterIndex(log);
      const unreadable = await unreadableAt(log, { position, index });
      if (await index.unreadable(unreadable) === "skip") return tellKnown(line, unreadable);
      const { partition, offset, nextOffset, reason: why, bytes } = unreadable;
      const unread = { nextOffset, why, words };
      const source = { topic: WEBHOOKS_TOPIC, partition, offset };
      const letter = unreadableLetterRecord(source, { unread, bytes, at: Date.now() });
      await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
      const [at] = await log.publish(DEAD_LETTER_TOPIC, [letter]);
      const id = `${at!.partition}:${at!.offset}`;
      if (line.json) return printJson({ id, reason: UNREADABLE, ...source, unread });
      print(`Set aside as dead letter ${id}: ${rangeText(unreadable)} (${printable(why)}).`);
      print(`The groups go on at ${partition}:${nextOffset} within 5 seconds.`);
    });
  },
};

function wishOf({ positionals, values }: CommandLine): { position: RecordPosition; words: string } {
  const [text, ...more] = positionals;
  const match = /^(\d{1,9}):(\d{1,15})$/.exec(text ?? "");
  if (!match || more.length > 0) {
    throw new UsageError(
      `Cannot read "skip ${positionals.join(" ")}": expected PARTITION:OFFSET, such as 3:42.`,
    );
  }
  const words = typeof values.reason === "string" ? values.reason.trim() : "";
  if (words === "" || words.length > WORDS_MAX) {
    throw new UsageError(`Cannot skip ${text}: --reason needs 1 to ${WORDS_MAX} characters.`);
  }
  return { position: { partition: Number(match[1]), offset: Number(match[2]) }, words };
}

/** What cannot be read and begins at `position`. Throws {@link CommandFailedError} where that is not where it stands. */
async function unreadableAt(
  log: TopicLog,
  { position, index }: { readonly position: RecordPosition; readonly index: DeadLetterIndex },
): Promise<UnreadableRecords> {
  const { partition, offset } = position;
  const refuse = (why: string) => new CommandFailedError(`Cannot skip ${partition}:${offset}: ${why}`);
  if (partition >= await log.partitions(WEBHOOKS_TOPIC)) {
    throw refuse(`${WEBHOOKS_TOPIC} has no partition ${partition}.`);
  }
  const { startOffset, endOffset } = await log.boundsOf(WEBHOOKS_TOPIC, partition);
  if (offset < startOffset) throw refuse(`the partition begins at ${partition}:${startOffset}.`);
  // A read beyond the end would wait for what comes there.
  const until = Math.min(offset + 1, endOffset);
  const unreadable = await firstUnreadable(log, { partition, from: offset, until });
  const stands = await firstUnreadable(log, {
    partition,
    from: await nextOffsetOf(log, partition) ?? startOffset,
    until: endOffset,
    unreadable: index.unreadable,
  });
  const place = stands === null
    ? `Partition ${partition} stands nowhere: see "deno task lag".`
    : `Partition ${partition} stands at ${partition}:${stands.offset} (${stands.reason}).`;
  if (offset >= endOffset) throw refuse(`nothing lies there. ${place}`);
  if (unreadable === null) throw refuse(`it can be read. ${place}`);
  if (await index.unreadable(unreadable) === "skip") return unreadable;
  if (unreadable.offset !== offset) {
    throw refuse(`${rangeText(unreadable)} cannot be read together. Skip ${partition}:${unreadable.offset}.`);
  }
  if (stands !== null && stands.offset < offset) throw refuse(place);
  return unreadable;
}

/** The first that is neither read nor passed over; null where everything is. */
async function firstUnreadable(
  log: TopicLog,
  range: {
    readonly partition: number;
    readonly from: number;
    readonly until: number;
    readonly unreadable?: DeadLetterIndex["unreadable"];
  },
): Promise<UnreadableRecords | null> {
  if (range.from >= range.until) return null;
  try {
    for await (const _ of log.read(WEBHOOKS_TOPIC, { ...range, endsAtOpenTransaction: true }));
  } catch (error) {
    if (!(error instanceof UnreadableRecordsError)) throw error;
    return error.records;
  }
  return null;
}

/** What the group that is furthest behind reads next; null where one has committed nothing. */
async function nextOffsetOf(log: TopicLog, partition: number): Promise<number | null> {
  const groups = [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP];
  const offsets = await Promise.all(
    groups.map(async (group) => (await log.committed(WEBHOOKS_TOPIC, group))[partition] ?? null),
  );
  return offsets.includes(null) ? null : Math.min(...offsets.map(Number));
}

function tellKnown({ json }: CommandLine, unreadable: UnreadableRecords): void {
  const { partition, offset, nextOffset } = unreadable;
  if (json) {
    return printJson({ id: null, reason: UNREADABLE, topic: WEBHOOKS_TOPIC, partition, offset, nextOffset });
  }
  print(`Nothing to do: ${rangeText(unreadable)} has been set aside already, and the groups pass over it.`);
}

function rangeText({ partition, offset, nextOffset }: UnreadableRecords): string {
  const last = nextOffset - 1;
  return last === offset ? `${partition}:${offset}` : `${partition}:${offset} to ${partition}:${last}`;
}

if (import.meta.main) Deno.exit(await runCommand(skipCommand, Deno.args));
