import { openDatasetLocks } from "../processor/dataset/mod.ts";
import { type ProcessorConfig, readProcessorConfig } from "../processor/config.ts";
import {
  DeadLetterList,
  findLetter,
  letterRecord,
  letterView,
  type ListedLetter,
  redrive,
  REDRIVES_MAX,
  whyNever,
  WORN_OUT,
} from "../processor/dead_letters/mod.ts";
import { faultPointFrom } from "../runtime/stop_at_fault_point.ts";
import type { TopicLog } from "../topic/topic.ts";
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

ID is partition:offset in the dead-letter topic. With --json: one object per line.
`,
  options: { all: { type: "boolean" }, "dry-run": { type: "boolean" } },
  async run(line) {
    const verb = verbOf(line);
    const config = readProcessorConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      const list = new DeadLetterList(log);
      await list.catchUp();
      if (verb === "list") return printList(list.letters({ all: line.values.all === true }), line);
      if (verb === "show") return await printLetter(log, { letter: find(list, line.positionals[1]!), line });
      await redriveNamed(line, { log, list, config });
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

function printList(letters: readonly ListedLetter[], { json }: CommandLine): void {
  if (json) {
    for (const letter of letters) printJson(letterView(letter));
    return;
  }
  if (letters.length === 0) return print("No dead letters.");
  const counts = Map.groupBy(letters, (letter) => letter.reason);
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
  print(table(["ID", "STEP", "SOURCE", "FIRST SEEN", "REDRIVES", "REASON"], rows));
}

async function printLetter(
  log: TopicLog,
  { letter, line }: { readonly letter: ListedLetter; readonly line: CommandLine },
): Promise<void> {
  const record = await letterRecord(log, letter);
  if (!record) throw new CommandFailedError(`Cannot show "${letter.id}": the log no longer has its bytes.`);
  const value = new TextDecoder().decode(record.value);
  const key = record.key === null ? null : new TextDecoder().decode(record.key);
  const whole = { ...letterView(letter), headers: letter.headers, key, value };
  if (line.json) return printJson(whole);
  for (const [name, one] of Object.entries(whole)) {
    print(`${`${name}:`.padEnd(12)}${printable(typeof one === "string" ? one : JSON.stringify(one))}`);
  }
}

type Redriving = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  readonly config: Pick<ProcessorConfig, "datasetDir" | "dedupWindow" | "faultPoint">;
};

async function redriveNamed(line: CommandLine, redriving: Redriving): Promise<void> {
  if (line.values["dry-run"] === true) return foretell(line, redriving.list);
  const locks = openDatasetLocks(redriving.config.datasetDir);
  const message = { verb: "redrive", what: "a redrive of dead letters" };
  await workAlone(locks, message, () => redriveUnderLock(line, redriving));
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
