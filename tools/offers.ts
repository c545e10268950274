import { createKeyedHashes, type KeyedHashes } from "../contract/keyed_hash.ts";
import type { OfferView } from "../contract/processor_api.ts";
import { type ListedOffer, type OfferStatusReader, openOfferStatusReader } from "../processor/offers/mod.ts";
import { type ProcessorConfig, readCommandConfig } from "../processor/config.ts";
import { within } from "../runtime/clock.ts";
import { publishFacts } from "../processor/facts/topic.ts";
import { knownId } from "../processor/record/known_id.ts";
import { createLineIdsLater } from "../processor/record/line_id_later.ts";
import {
  ago,
  agoExactly,
  type Cell,
  type Command,
  CommandFailedError,
  type CommandLine,
  print,
  printable,
  printJson,
  refuseMissing,
  runCommand,
  secretOfServices,
  shortened,
  table,
  UsageError,
  withLog,
} from "./command.ts";

/** Offers whose distinct_id is looked up, each by one read of the topic. */
const NAMED_MAX = 1_000;
/** So long the list waits for them, in milliseconds: a broker that is away hides the ids and not the offers. */
const LOOKING_MS_MAX = 10_000;

/** `deno task offers`: the discount offers, and a person's decision to send one once more. */
export const offersCommand: Command = {
  help: `Shows the discount offers, and sends one once more by your decision.

Usage: deno task offers list [--json]
       deno task offers show ID [--json]
       deno task offers resend ID --reason TEXT [--json]

  list      everybody's current offer, in the order in which they were earned
  show      one person's, with its timeline
  resend    opens an offer again that was sent, failed or closed; due at once, if nobody opted out

ID is a distinct_id, or person-… as list shows it. Read from the offer view in DATA_DIR, which a processor keeps. The
view holds keyed hashes: list reads the distinct_id from the record that earned the offer, in the form in which the dataset
has it, for the ${NAMED_MAX} newest offers; of the others, and where it cannot, it says why (--json: "distinctIdWithheld").
`,
  options: { reason: { type: "string" } },
  async run(line) {
    const [verb, id] = verbOf(line);
    const config = readCommandConfig(Deno.env.toObject());
    refuseMissing(config.dataDir);
    const hashes = createKeyedHashes(secretOfServices(config, `${verb} offers`));
    const view = openOfferStatusReader(config.dataDir, config.discount);
    try {
      if (verb === "list") await list(view?.list(hashes) ?? [], { config, hashes, line });
      else if (!view) throw nobody(id);
      else if (verb === "show") show(view.offerOf(id, hashes) ?? fail(nobody(id)), line);
      else await resend(config, { view, hashes, id, line });
    } finally {
      view?.close();
    }
  },
};

function verbOf({ positionals, values }: CommandLine): ["list" | "show" | "resend", string] {
  const [verb, id = "", ...rest] = positionals;
  const hasReason = typeof values.reason === "string" && values.reason.trim() !== "";
  if (verb === "list" && id === "" && values.reason === undefined) return [verb, ""];
  if (verb === "show" && id !== "" && rest.length === 0 && values.reason === undefined) return [verb, id];
  if (verb === "resend" && id !== "" && rest.length === 0 && hasReason) return [verb, id];
  throw new UsageError(
    `Cannot read "offers ${positionals.join(" ")}": expected list, show ID, or resend ID --reason TEXT.`,
  );
}

function nobody(id: string): CommandFailedError {
  return new CommandFailedError(
    `Cannot find "${id}": nobody of this id has used anything, or no processor has run on this DATA_DIR. Upper and ` +
      "lower case count, and an address is no id.",
  );
}

function fail(error: Error): never {
  throw error;
}

/** Columns of a list: what a terminal of 100 shows. */
const COLUMNS_MAX = 100;

/** Why a list has no distinct_id for an offer, as `--json` has it and in words. */
const WITHHELD = {
  personal: "the distinct_id is personal data, so they stand as in the dataset",
  record_gone: "the topic has the record that earned the offer no more",
  not_looked_up: `only the ${NAMED_MAX} newest are looked up`,
  log_away: "the log cannot be read now, or took over 10 seconds",
} as const;
type Withheld = keyof typeof WITHHELD;
type Known = { readonly id: string } | { readonly why: Withheld };

async function list(
  offers: readonly ListedOffer[],
  { config, hashes, line: { json } }: {
    readonly config: ProcessorConfig;
    readonly hashes: KeyedHashes;
    readonly line: CommandLine;
  },
): Promise<void> {
  if (offers.length === 0) return json ? undefined : print("No offers.");
  const known = await knownIds(offers, { config, hashes });
  const named = offers.map((offer, at) => ({ offer, known: known[at]! }));
  if (json) {
    for (const { offer: { offer: _, subject, attempt: __, position: ___, ...one }, known } of named) {
      const distinctId = "id" in known ? known.id : null;
      const withheld = "id" in known ? {} : { distinctIdWithheld: known.why };
      printJson({ ...one, distinctId, ...withheld, person: `person-${subject}` });
    }
    return;
  }
  const now = Date.now();
  const rows = named.map(({ offer, known }): readonly Cell[] => [
    // A longer one would be cut, and no ID any more.
    "id" in known && known.id.length <= 39 ? known.id : `person-${offer.subject}`,
    [offer.state, STYLES[offer.state] ?? null],
    offer.uses,
    ago(offer.earnedAt, now),
    offer.sentAt ? ago(offer.sentAt, now) : offer.state === "waiting" ? dueText(offer, now) : "",
    offer.reason ?? (offer.addressKnown ? "" : NO_ADDRESS),
  ]);
  const head = ["ID", "STATE", "USES", "EARNED", "SENT", "REASON"];
  const before = head.slice(0, -1).reduce(
    (sum, name, column) => sum + 2 + Math.max(name.length, ...rows.map((row) => widthOf(row[column]!))),
    0,
  );
  print(
    table(
      head,
      rows.map((row) => [...row.slice(0, -1), shortened(String(row.at(-1)), COLUMNS_MAX - before)]),
    ),
  );
  const hidden = new Set(known.flatMap((one) => "id" in one ? [] : [one.why]));
  for (const why of hidden) print(`person-… where ${WITHHELD[why]}.`);
}

const NO_ADDRESS = "no address";
const STYLES: Readonly<Record<string, "red" | "yellow" | "green" | "dim">> = {
  failed: "red",
  waiting: "yellow",
  sending: "yellow",
  offered: "green",
  closed: "dim",
};

function widthOf(cell: Cell): number {
  return printable(String(typeof cell === "object" ? cell[0] : cell)).length;
}

/** One for each offer. */
async function knownIds(
  offers: readonly ListedOffer[],
  { config, hashes }: { readonly config: ProcessorConfig; readonly hashes: KeyedHashes },
): Promise<readonly Known[]> {
  const known: Known[] = offers.slice(0, -NAMED_MAX).map(() => ({ why: "not_looked_up" }));
  const lineId = createLineIdsLater(hashes.subject);
  const looking = withLog(config, async (log) => {
    for (const offer of offers.slice(-NAMED_MAX)) {
      known.push(await knownId(log, { ...offer, hashes, lineId }));
    }
  });
  await within(looking.catch(() => {}), { ms: LOOKING_MS_MAX });
  return offers.map((_, at) => known[at] ?? { why: "log_away" });
}

function show(offer: OfferView, { json }: CommandLine): void {
  if (json) return printJson(offer);
  const { timeline, ...rest } = offer;
  const now = Date.now();
  for (const [name, value] of Object.entries(rest)) {
    const text = name.endsWith("At") && value !== null
      ? agoExactly(String(value), now)
      : String(value ?? "–");
    print(`${`${name}:`.padEnd(14)}${printable(text)}`);
  }
  print("");
  print(table(["AT", "", "WHAT"], timeline.map(({ at, what }) => [at, ago(at, now), what])));
}

const REOPENABLE = ["offered", "failed", "closed"];

async function resend(
  config: ProcessorConfig,
  { view, hashes, id, line }: {
    readonly view: OfferStatusReader;
    readonly hashes: KeyedHashes;
    readonly id: string;
    readonly line: CommandLine;
  },
): Promise<void> {
  const current = view.currentOf(id, hashes);
  if (!current) {
    throw new CommandFailedError(`Cannot resend to "${id}": there is no offer. Upper and lower case count.`);
  }
  if (!REOPENABLE.includes(current.state)) {
    throw new CommandFailedError(
      `Cannot resend to "${id}": the offer is ${current.state}; only one that was sent, failed or closed can be.`,
    );
  }
  if (current.reason === "opted_out") {
    throw new CommandFailedError(`Cannot resend to "${id}": this person wants no mail.`);
  }
  const { subject, attempt } = current;
  await withLog(config, (log) =>
    publishFacts(log, [{
      fact: "reopened",
      subject,
      at: Date.now(),
      offer: Number(current.offer),
      after: attempt,
      reason: line.values.reason as string,
    }]));
  if (line.json) return printJson({ person: `person-${subject}`, reopened: true });
  print(`Opened again: the processor sends it now, as attempt ${attempt + 1}, if nothing forbids it.`);
}

/** One that waits for an address may have been due for long. */
function dueText({ dueAt }: { readonly dueAt: string | null }, now: number): string {
  return dueAt !== null && Date.parse(dueAt) > now ? `due ${ago(dueAt, now)}` : "due";
}

if (import.meta.main) Deno.exit(await runCommand(offersCommand, Deno.args));
