import { openDatasetLocks } from "../processor/dataset/mod.ts";
import { type ProcessorConfig, readCommandConfig } from "../processor/config.ts";
import {
  DeadLetterList,
  dismiss,
  DISMISSAL_WORDS_MAX,
  dismissedText,
  dismissRefused,
  findLetter,
  letterRecord,
  letterView,
  type ListedLetter,
  type ListedRefused,
  redrive,
  type RedriveOutcome,
  redriveRefused,
  REDRIVES_MAX,
  REFUSED_ID,
  refusedRecord,
  refusedView,
  refusedWebhooks,
  whyNever,
  WORN_OUT,
} from "../processor/dead_letters/mod.ts";
import { faultPointFrom } from "../runtime/fault_point.ts";
import type { RecordToPublish, TopicLog } from "../topic/topic.ts";
import {
  ago,
  agoExactly,
  type Cell,
  type Command,
  CommandFailedError,
  type CommandLine,
  grouped,
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
  help:
    `Shows records that were set aside, puts them back into the topic once their cause is mended, or dismisses them.

Usage: deno task dead-letters list [--all] [--json]
       deno task dead-letters show ID [--json]
       deno task dead-letters redrive ID… [--dry-run] [--json]
       deno task dead-letters redrive --all [--dry-run] [--json]
       deno task dead-letters dismiss ID --reason TEXT [--json]

  list       a histogram by reason, then a table; redriven and dismissed letters have left it (--all: they too)
  show       one letter with its record, as it came
  redrive    publishes the record again, marked as redriven; refused after ${REDRIVES_MAX} rounds; ends with its counts
  dismiss    sets a letter aside for good: it leaves the list, and is never redriven; nothing is deleted
  --reason   why, for whoever reads the list later; at most ${DISMISSAL_WORDS_MAX} characters
  --dry-run  says what would be redriven, and does nothing

ID is partition:offset in the dead-letter topic, or refused:… for a webhook that the log refused and that ingest keeps in
DATA_DIR. With --json: one object a line.
`,
  options: { all: { type: "boolean" }, "dry-run": { type: "boolean" }, reason: { type: "string" } },
  async run(line) {
    const verb = verbOf(line);
    const config = readCommandConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      const list = new DeadLetterList(log);
      await list.catchUp();
      const refused = refusedWebhooks(config.dataDir);
      if (verb === "list") {
        const all = line.values.all === true;
        const shown = refused.filter(({ dismissed }) => all || dismissed === null);
        return printList(list.letters({ all }), { refused: shown, line });
      }
      if (verb === "dismiss") return await dismissNamed(line, { log, list, config });
      if (verb === "redrive") return await redriveNamed(line, { log, list, config, refused });
      const [, id = ""] = line.positionals;
      if (id.startsWith(REFUSED_ID)) return printRefused(findRefused(refused, id), line);
      await printLetter(log, { letter: find(list, id), line });
    });
  },
};

function verbOf({ positionals, values }: CommandLine): "list" | "show" | "redrive" | "dismiss" {
  const [verb, ...ids] = positionals;
  if (verb === "dismiss" && ids.length === 1 && values.all !== true && values["dry-run"] !== true) {
    if (wordsOf(values) !== null) return verb;
    throw new UsageError(
      `Cannot dismiss "${ids[0]}": --reason needs 1 to ${DISMISSAL_WORDS_MAX} characters.`,
    );
  }
  if (values.reason !== undefined) {
    throw new UsageError("Cannot read --reason here: it goes with dismiss ID.");
  }
  if (verb === "list" && ids.length === 0) return verb;
  if (verb === "show" && ids.length === 1) return verb;
  if (verb === "redrive" && (values.all === true) !== ids.length > 0) return verb;
  throw new UsageError(
    `Cannot read "dead-letters ${positionals.join(" ")}": expected list, show ID, redrive ID… or --all, or ` +
      "dismiss ID --reason TEXT.",
  );
}

/** The operator's own; null where there are none, or too many. */
function wordsOf({ reason }: CommandLine["values"]): string | null {
  const words = typeof reason === "string" ? reason.trim() : "";
  return words === "" || words.length > DISMISSAL_WORDS_MAX ? null : words;
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
  const sums = [...counts].map(([reason, { length }]) => [length, reason] as const).sort((a, b) =>
    b[0] - a[0]
  );
  print(table(["COUNT", "REASON"], sums));
  print("");
  const now = Date.now();
  const rows = letters.map((letter): readonly Cell[] => {
    const { id, step, source, firstSeen, redrives, reason, unread } = letter;
    const edited = letterView(letter).editedIn;
    const why = unread !== undefined
      ? `${reason}: ${unread.why} (${unread.words})`
      : edited === undefined
      ? reason
      : `${reason} (edited in ${edited})`;
    const from = `${source.partition}:${source.offset}`;
    return [id, step, from, ago(firstSeen, now), redrives, reasonCell(why, letter)];
  });
  rows.push(...refused.map((one): readonly Cell[] => {
    return [one.id, "publish", "-", ago(one.firstSeen, now), 0, reasonCell(one.reason, one)];
  }));
  print(table(["ID", "STEP", "SOURCE", "FIRST SEEN", "REDRIVES", "REASON"], rows));
}

/** What has left the list stands back where all are shown, with what became of it. */
function reasonCell(
  reason: string,
  { redriven = false, edited = false, dismissed }:
    & Partial<Pick<ListedLetter, "redriven" | "edited">>
    & Pick<ListedLetter, "dismissed">,
): Cell {
  if (redriven) return [`redriven${edited ? ", edited" : ""} · ${reason}`, "dim"];
  if (dismissed) return [`dismissed (${dismissed.words}) · ${reason}`, "dim"];
  return [reason, null];
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
    const text = typeof one !== "string" ? JSON.stringify(one) : name === "firstSeen" ? agoExactly(one) : one;
    print(`${`${name}:`.padEnd(12)}${printable(text)}`);
  }
}

async function dismissNamed(
  line: CommandLine,
  { log, list, config }: Omit<Redriving, "refused">,
): Promise<void> {
  const [, id = ""] = line.positionals;
  const words = wordsOf(line.values)!;
  const locks = openDatasetLocks(config.datasetDir);
  const message = { verb: "dismiss", what: "a dismissal of a dead letter" };
  const outcome = await workAlone(locks, message, async () => {
    // Another redrive or an erasure may have ended between the first look and the lock.
    if (id.startsWith(REFUSED_ID)) {
      const one = findRefused(refusedWebhooks(config.dataDir), id);
      if (one.dismissed) return "already_dismissed";
      await dismissRefused(one, words);
      return "dismissed";
    }
    await list.catchUp();
    const faultPoint = faultPointFrom(config.faultPoint ?? undefined);
    const { dedupWindow } = config;
    return await dismiss(find(list, id), { log, list, words, now: Date.now(), dedupWindow, faultPoint });
  });
  if (outcome === "redriven") {
    throw new CommandFailedError(`Cannot dismiss "${id}": it has been redriven, so its event goes on.`);
  }
  if (outcome === "half_redriven") {
    throw new CommandFailedError(
      `Cannot dismiss "${id}": a redrive of it was cut short when its record was published already. Finish that with ` +
        `\`deno task dead-letters redrive ${id}\`.`,
    );
  }
  if (line.json) return printJson({ id, outcome: outcome.replace("_", " ") });
  if (outcome === "already_dismissed") {
    return print(`Nothing to do: ${printable(id)} has been dismissed already.`);
  }
  print(`Dismissed ${printable(id)}: it has left the list ("dead-letters list --all" shows it).`);
}

type Redriving = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  readonly config: Pick<ProcessorConfig, "dataDir" | "datasetDir" | "dedupWindow" | "faultPoint">;
  readonly refused: readonly ListedRefused[];
};

async function redriveNamed(line: CommandLine, redriving: Redriving): Promise<void> {
  const ids = [...new Set(line.positionals.slice(1))];
  const { refused } = redriving;
  const named = {
    letters: { ...line, positionals: ["redrive", ...ids.filter((id) => !id.startsWith(REFUSED_ID))] },
    refused: line.values.all === true
      ? refused.filter(({ dismissed }) => dismissed === null)
      : ids.filter((id) => id.startsWith(REFUSED_ID)).map((id) => findRefused(refused, id)),
  };
  const gone = named.refused.find(({ dismissed }) => dismissed !== null);
  if (gone) throw new CommandFailedError(`Cannot redrive "${gone.id}": ${dismissedText(gone.dismissed!)}.`);
  if (line.values["dry-run"] === true) {
    for (const one of named.refused) {
      printRefusedOutcome(line, { refused: one, outcome: "would be redriven" });
    }
    return foretell(named.letters, { list: redriving.list, files: named.refused.length });
  }
  const locks = openDatasetLocks(redriving.config.datasetDir);
  const message = { verb: "redrive", what: "a redrive of dead letters" };
  const counts: Counts = { redriven: 0, there: 0, refused: 0 };
  line.ifStopped(() =>
    `${countsText(counts)} until then. The same command again redrives the rest, and nothing twice.`
  );
  await workAlone(locks, message, async () => {
    const still = await redriveFiles(line, { ...redriving, refused: named.refused, counts });
    await redriveUnderLock(named.letters, { ...redriving, counts });
    if (still === 0) return;
    throw new CommandFailedError(
      `Cannot redrive ${still} of ${named.refused.length} refused webhooks: the log refuses them still, as said ` +
        "above. Mend that, and run it again.",
    );
  });
}

/** What became of the letters, and of the webhooks that the log had refused, so far. */
type Counts = { redriven: number; there: number; refused: number };

function countsText({ redriven, there, refused }: Counts): string {
  const goesOn = there === 0 ? "" : `${grouped(there)} not again, as their event goes on already, `;
  return `${grouped(redriven)} redriven, ${goesOn}${grouped(refused)} refused`;
}

/** Answers how many the log refuses still. */
async function redriveFiles(
  line: CommandLine,
  { log, refused, counts }: Redriving & { readonly counts: Counts },
): Promise<number> {
  let still = 0;
  for (const one of refused) {
    const why = await redriveRefused(log, one);
    if (why !== null) still++;
    counts[why === null ? "redriven" : "refused"]++;
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

function foretell(
  line: CommandLine,
  { list, files }: { readonly list: DeadLetterList; readonly files: number },
): void {
  const named = namedBy(line, list);
  const foreseen = named.map((letter) => ({ letter, why: whyNever(letter) }));
  for (const { letter, why } of foreseen) {
    printOutcome(
      line,
      why === null ? { letter, outcome: "would be redriven" } : { letter, outcome: "would be refused", why },
    );
  }
  const refused = foreseen.filter(({ why }) => why !== null);
  const redriven = files + named.length - refused.length;
  if (!line.json) print(`Would be: ${countsText({ redriven, there: 0, refused: refused.length })}.`);
  failWhereRefused(refused, named.length);
}

async function redriveUnderLock(
  line: CommandLine,
  { log, list, config, counts }: Redriving & { readonly counts: Counts },
): Promise<void> {
  // Another redrive or an erasure may have ended between the first look and the lock.
  await list.catchUp();
  const named = namedBy(line, list);
  const faultPoint = faultPointFrom(config.faultPoint ?? undefined);
  const { dedupWindow } = config;
  const onOutcomes = (outcomes: readonly RedriveOutcome[]) => {
    for (const { is } of outcomes) counts[is === "already_there" ? "there" : is]++;
  };
  const outcomes = await redrive(named, { log, list, now: Date.now(), dedupWindow, faultPoint, onOutcomes });
  for (const { letter, is, why } of outcomes) {
    printOutcome(line, { letter, outcome: is.replace("_", " "), ...(why === null ? {} : { why }) });
  }
  if (!line.json) print(`${countsText(counts)}.`);
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
