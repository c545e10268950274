import { openDatasetLocks } from "../processor/adapters/dataset_locks.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { DeadLetterList, type ListedLetter } from "../processor/dead_letter_list.ts";
import { faultPointFrom } from "../topic/fault_point.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import type { TopicLog } from "../topic/topic.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  print,
  runCommand,
  table,
  UsageError,
} from "./command.ts";
import { isWornOut, letterRecord, redrive, REDRIVES_MAX } from "./redrive.ts";

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
    const log = await openTopicLog(config.log, "command");
    try {
      const list = new DeadLetterList(log);
      await list.catchUp();
      if (verb === "list") return printList(list.letters({ all: line.values.all === true }), line);
      if (verb === "show") return await printLetter(log, { letter: find(list, line.positionals[1]!), line });
      await redriveNamed(line, { log, list, datasetDir: config.datasetDir });
    } finally {
      await log.close();
    }
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
  const letter = list.letters({ all: true }).find((letter) => letter.id === id);
  if (!letter) throw new CommandFailedError(`Cannot find dead letter "${id}": see dead-letters list --all.`);
  return letter;
}

/** The shape of `--json`, as CONTRACT has it. */
function outside({ id, reason, step, source, firstSeen, redrives, redriven }: ListedLetter) {
  const { topic, partition, offset } = source;
  return { id, reason, step, topic, partition, offset, firstSeen, redrives, redriven };
}

function printList(letters: readonly ListedLetter[], { json }: CommandLine): void {
  if (json) {
    for (const letter of letters) print(JSON.stringify(outside(letter)));
    return;
  }
  if (letters.length === 0) return print("No dead letters.");
  const counts = Map.groupBy(letters, (letter) => letter.reason);
  print(
    table(
      ["COUNT", "REASON"],
      [...counts].map(([reason, { length }]) => [length, reason]).sort((a, b) => +b[0]! - +a[0]!),
    ),
  );
  print("");
  const rows = letters.map((
    one,
  ) => [
    one.id,
    one.step,
    `${one.source.partition}:${one.source.offset}`,
    one.firstSeen,
    one.redrives,
    one.reason,
  ]);
  print(table(["ID", "STEP", "SOURCE", "FIRST SEEN", "REDRIVES", "REASON"], rows));
}

async function printLetter(
  log: TopicLog,
  { letter, line }: { readonly letter: ListedLetter; readonly line: CommandLine },
): Promise<void> {
  const record = await letterRecord(log, letter);
  const value = new TextDecoder().decode(record.value);
  const key = record.key === null ? null : new TextDecoder().decode(record.key);
  const whole = { ...outside(letter), headers: letter.headers, key, value };
  if (line.json) return print(JSON.stringify(whole));
  for (const [name, one] of Object.entries(whole)) {
    print(`${`${name}:`.padEnd(12)}${typeof one === "string" ? one : JSON.stringify(one)}`);
  }
}

async function redriveNamed(
  line: CommandLine,
  { log, list, datasetDir }: {
    readonly log: TopicLog;
    readonly list: DeadLetterList;
    readonly datasetDir: string;
  },
): Promise<void> {
  const named = line.values.all === true
    ? list.letters({ all: false })
    : line.positionals.slice(1).map((id) => find(list, id));
  const gone = named.find(({ redriven }) => redriven);
  if (gone) throw new CommandFailedError(`Cannot redrive "${gone.id}": it has been redriven already.`);
  const tell = (letter: ListedLetter, outcome: string) =>
    print(
      line.json
        ? JSON.stringify({ ...outside(letter), outcome })
        : `${letter.id}  ${outcome}  ${letter.reason}`,
    );
  if (line.values["dry-run"] === true) {
    for (const letter of named) tell(letter, isWornOut(letter) ? "would be refused" : "would be redriven");
  } else {
    const locks = openDatasetLocks(datasetDir);
    const lock = locks.takeMaintenance();
    try {
      if (!lock) {
        throw new CommandFailedError(
          "Cannot redrive now: a replay, an erasure or another redrive is under way. Wait for its end.",
        );
      }
      const reach = faultPointFrom(Deno.env.get("FAULT_POINT"));
      for (const { letter, is } of await redrive(named, { log, list, now: Date.now(), reach })) {
        tell(letter, is.replace("_", " "));
      }
    } finally {
      lock?.release();
      locks.close();
    }
  }
  const refused = named.filter(isWornOut).length;
  if (refused > 0) {
    throw new CommandFailedError(
      `Cannot redrive ${refused} of ${named.length}: after ${REDRIVES_MAX} rounds another one does not help.`,
    );
  }
}

if (import.meta.main) Deno.exit(await runCommand(deadLettersCommand, Deno.args));
