import { openDatasetLocks } from "../processor/dataset/mod.ts";
import { type ProcessorConfig, readProcessorConfig } from "../processor/config.ts";
import {
  DeadLetterList,
  findLetter,
  letterRecord,
  letterView,
  type ListedLetter,
  type ListedRefused,
  redrive,
  redriveRefused,
  REDRIVES_MAX,
  REFUSED_ID,
  refusedRecord,
  refusedView,
  refusedWebhooks,
  whyNever,
  WORN_OUT,
} from "../processor/dead_letters/mod.ts";
import { faultPointFrom } from "../runtime/stop_at_fault_point.ts";
import type { RecordToPublish, TopicLog } from "../topic/topic.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  print,
  printable,
  printJson,
  refuseMissing,
  runCommand,
  table,
  UsageError,
  withLog,
  workAlone,
} from "./command.ts";

/** `deno task dead-letters`: what was set aside, why, and back into the topic with it. */
export const deadLettersCommand: Command = {
  help: `Shows records that were set aside, and puts them back into the topic once their cause is mended.

Usage: deno task dead-letters list [--all] [--json]
       deno task dead-letters show ID [--json]
       deno task dead-letters redrive ID… [--dry-run] [--json]
       deno task dead-letters redrive --all [--dry-run] [--json]

  list       a histogram by reason, then a table; redriven letters have left it (--all: they too)
  show       one letter with its record, as it came
  redrive    publishes the record again, marked as redriven; refused after ${REDRIVES_MAX} rounds
  --dry-run  says what would be redriven, and does nothing

ID is partition:offset in the dead-letter topic, or refused:… for a webhook that the log refused and that ingest keeps in
DATA_DIR. With --json: one object per line.
`,
  options: { all: { type: "boolean" }, "dry-run": { type: "boolean" } },
  async run(line) {
    const verb = verbOf(line);
    const config = readProcessorConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      const list = new DeadLetterList(log);
      await list.catchUp();
      const refused = refusedWebhooks(config.dataDir);
      if (verb === "list") {
        return printList(list.letters({ all: line.values.all === true }), { refused, line });
      }
      if (verb === "redrive") return await redriveNamed(line, { log, list, config, refused });
      const [, id = ""] = line.positionals;
      if (id.startsWith(REFUSED_ID)) return printRefused(findRefused(refused, id), line);
      await printLetter(log, { letter: find(list, id), line });
    });
  },
};

function verbOf({ positionals, values }: CommandLine): "list" | "show" | "redrive" {
  const [verb, ...ids] = positionals;
  if (verb === "list" && ids.length === 0) return verb;
  if (verb === "show" && ids.length === 1) return verb;
  if (verb === "redrive" && (values.all === true) !== ids.length > 0) return verb;
  throw new UsageError(
    `Cannot read "dead-letters ${positionals.join(" ")}": expected list, show ID, or redrive ID… or --all.`,
  );
}

function find(list: DeadLetterList, id: string): ListedLetter {
  const letter = findLetter(list, id);
  if (!letter) throw new CommandFailedError(`Cannot find dead letter "${id}": see dead-letters list --all.`);
  return letter;
}

function findRefused(refused: readonly ListedRefused[], id: string): ListedRefused {
  const found = refused.find((one) => one.id === id);
  if (!found) {
    throw new CommandFailedError(`Cannot find refused webhook "${id}" in DATA_DIR: see dead-letters list.`);
  }
  return found;
}

function printList(
  letters: readonly ListedLetter[],
  { refused, line: { json } }: { readonly refused: readonly ListedRefused[]; readonly line: CommandLine },
): void {
  if (json) {
    for (const letter of letters) printJson(letterView(letter));
    for (const one of refused) printJson(refusedView(one));
    return;
  }
  if (letters.length === 0 && refused.length === 0) return print("No dead letters.");
  const counts = Map.groupBy([...letters, ...refused], ({ reason }) => reason);
  const sums = [...counts].map(([reason, { length }]) => [length, reason]).sort((a, b) => +b[0]! - +a[0]!);
  print(table(["COUNT", "REASON"], sums));
  print("");
  const rows = letters.map((
    { id, step, source, firstSeen, redrives, reason, unread },
  ) => [
    id,
    step,
    `${source.partition}:${source.offset}`,
    firstSeen,
    redrives,
    unread === undefined ? reason : `${reason}: ${unread.why} (${unread.words})`,
  ]);
  rows.push(...refused.map(({ id, reason, firstSeen }) => [id, "publish", "-", firstSeen, 0, reason]));
  print(table(["ID", "STEP", "SOURCE", "FIRST SEEN", "REDRIVES", "REASON"], rows));
}

async function printLetter(
  log: TopicLog,
  { letter, line }: { readonly letter: ListedLetter; readonly line: CommandLine },
): Promise<void> {
  const record = await letterRecord(log, letter);
  if (!record) throw new CommandFailedError(`Cannot show "${letter.id}": the log no longer has its bytes.`);
  printWhole({ ...letterView(letter), ...recordView({ ...record, headers: letter.headers }) }, line);
}

function printRefused(refused: ListedRefused, line: CommandLine): void {
  const record = refusedRecord(refused);
  if (!record) throw new CommandFailedError(`Cannot show "${refused.id}": its file has gone.`);
  printWhole({ ...refusedView(refused), path: refused.path, ...recordView(record) }, line);
}

function recordView(
  { headers, key, value }: Pick<RecordToPublish, "headers" | "key" | "value">,
) {
  const decoder = new TextDecoder();
  return { headers, key: key === null ? null : decoder.decode(key), value: decoder.decode(value) };
}

function printWhole(whole: object, line: CommandLine): void {
  if (line.json) return printJson(whole);
  for (const [name, one] of Object.entries(whole)) {
    print(`${`${name}:`.padEnd(12)}${printable(typeof one === "string" ? one : JSON.stringify(one))}`);
  }
}

type Redriving = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  readonly config: Pick<ProcessorConfig, "datasetDir" | "dedupWindow" | "faultPoint">;
  readonly refused: readonly ListedRefused[];
};

async function redriveNamed(line: CommandLine, redriving: Redriving): Promise<void> {
  const ids = [...new Set(line.positionals.slice(1))];
  const { refused } = redriving;
  const named = {
    letters: { ...line, positionals: ["redrive", ...ids.filter((id) => !id.startsWith(REFUSED_ID))] },
    refused: line.values.all === true
      ? refused
      : ids.filter((id) => id.startsWith(REFUSED_ID)).map((id) => findRefused(refused, id)),
  };
  if (line.values["dry-run"] === true) {
    for (const one of named.refused) {
      printRefusedOutcome(line, { refused: one, outcome: "would be redriven" });
    }
    return foretell(named.letters, redriving.list);
  }
  const locks = openDatasetLocks(redriving.config.datasetDir);
  const message = { verb: "redrive", what: "a redrive of dead letters" };
  await workAlone(locks, message, async () => {
    const still = await redriveFiles(line, { ...redriving, refused: named.refused });
    await redriveUnderLock(named.letters, redriving);
    if (still === 0) return;
    throw new CommandFailedError(
      `Cannot redrive ${still} of ${named.refused.length} refused webhooks: the log refuses them still, as said ` +
        "above. Mend that, and run it again.",
    );
  });
}

/** Answers how many the log refuses still. */
async function redriveFiles(line: CommandLine, { log, refused }: Redriving): Promise<number> {
  let still = 0;
  for (const one of refused) {
    const why = await redriveRefused(log, one);
    if (why !== null) still++;
    printRefusedOutcome(line, {
      refused: one,
      outcome: why === null ? "redriven" : "refused",
      ...(why === null ? {} : { why }),
    });
  }
  return still;
}

function printRefusedOutcome(
  line: CommandLine,
  { refused, outcome, why }: {
    readonly refused: ListedRefused;
    readonly outcome: string;
    readonly why?: string;
  },
): void {
  if (line.json) {
    return printJson({ ...refusedView(refused), outcome, ...(why === undefined ? {} : { why }) });
  }
  print(`${refused.id}  ${outcome}  ${printable(why ?? refused.reason)}`);
}

function foretell(line: CommandLine, list: DeadLetterList): void {
  const named = namedBy(line, list);
  const foreseen = named.map((letter) => ({ letter, why: whyNever(letter) }));
  for (const { letter, why } of foreseen) {
    printOutcome(
      line,
      why === null ? { letter, outcome: "would be redriven" } : { letter, outcome: "would be refused", why },
    );
  }
  failWhereRefused(foreseen.filter(({ why }) => why !== null), named.length);
}

async function redriveUnderLock(line: CommandLine, { log, list, config }: Redriving): Promise<void> {
  // Another redrive or an erasure may have ended between the first look and the lock.
  await list.catchUp();
  const named = namedBy(line, list);
  const faultPoint = faultPointFrom(config.faultPoint ?? undefined);
  const { dedupWindow } = config;
  const outcomes = await redrive(named, { log, list, now: Date.now(), dedupWindow, faultPoint });
  for (const { letter, is, why } of outcomes) {
    printOutcome(line, { letter, outcome: is.replace("_", " "), ...(why === null ? {} : { why }) });
  }
  failWhereRefused(outcomes.filter(({ is }) => is === "refused"), named.length);
}

function namedBy(line: CommandLine, list: DeadLetterList): readonly ListedLetter[] {
  const named = line.values.all === true
    ? list.letters({ all: false })
    : [...new Set(line.positionals.slice(1))].map((id) => find(list, id));
  const gone = named.find(({ redriven }) => redriven);
  if (gone) throw new CommandFailedError(`Cannot redrive "${gone.id}": it has been redriven already.`);
  return named;
}

function printOutcome(
  line: CommandLine,
  { letter, outcome, why }: {
    readonly letter: ListedLetter;
    readonly outcome: string;
    readonly why?: string;
  },
): void {
  if (line.json) return printJson({ ...letterView(letter), outcome, ...(why === undefined ? {} : { why }) });
  print(`${letter.id}  ${outcome}  ${printable(letter.reason)}`);
}

function failWhereRefused(
  refused: readonly { readonly letter: ListedLetter; readonly why: string | null }[],
  all: number,
): void {
  const wornOut = refused.filter(({ why }) => why === WORN_OUT).length;
  if (wornOut > 0) throw new CommandFailedError(`Cannot redrive ${wornOut} of ${all}: ${WORN_OUT}.`);
  const [other] = refused;
  if (other) throw new CommandFailedError(`Cannot redrive "${other.letter.id}": ${other.why}.`);
}

if (import.meta.main) Deno.exit(await runCommand(deadLettersCommand, Deno.args));
