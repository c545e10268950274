import { createKeyedHashes, type KeyedHashes } from "../contract/keyed_hash.ts";
import type { OfferView } from "../contract/processor_api.ts";
import { type ListedOffer, type OfferStatusReader, openOfferStatusReader } from "../processor/offers/mod.ts";
import { type ProcessorConfig, readProcessorConfig } from "../processor/config.ts";
import { publishFacts } from "../processor/facts/topic.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  print,
  printable,
  printJson,
  refuseMissing,
  runCommand,
  secretOfServices,
  table,
  UsageError,
  withLog,
} from "./command.ts";

/** `deno task offers`: the discount offers, and a person's decision to send one once more. */
export const offersCommand: Command = {
  help: `Shows the discount offers, and sends one once more by your decision.

Usage: deno task offers list [--json]
       deno task offers show ID [--json]
       deno task offers resend ID --reason TEXT [--json]

  list      everybody's current offer, in the order in which they were earned
  show      one person's, with its timeline
  resend    opens an offer again that was sent, failed or closed; due at once, if nobody opted out

ID is a distinct_id, or person-… as list shows it. Read from the offer view in DATA_DIR, which a processor keeps.
`,
  options: { reason: { type: "string" } },
  async run(line) {
    const [verb, id] = verbOf(line);
    const config = readProcessorConfig(Deno.env.toObject());
    refuseMissing(config.dataDir);
    const hashes = createKeyedHashes(secretOfServices(config, `${verb} offers`));
    const view = openOfferStatusReader(config.dataDir, config.discount);
    try {
      if (verb === "list") list(view?.list(hashes) ?? [], line);
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

function list(offers: readonly ListedOffer[], { json }: CommandLine): void {
  if (json) {
    for (const { offer: _, subject, attempt: __, ...one } of offers) {
      printJson({ ...one, person: `person-${subject}` });
    }
    return;
  }
  if (offers.length === 0) return print("No offers.");
  const rows = offers.map((one) => [
    `person-${one.subject}`,
    one.state,
    one.uses,
    one.earnedAt ?? "",
    one.sentAt ?? (one.state === "waiting" ? `due ${one.dueAt}` : ""),
    one.reason ?? (one.addressKnown ? "" : "no address known: waits for one"),
  ]);
  print(table(["PERSON", "STATE", "USES", "EARNED", "SENT", "REASON"], rows));
}

function show(offer: OfferView, { json }: CommandLine): void {
  if (json) return printJson(offer);
  const { timeline, ...rest } = offer;
  for (const [name, value] of Object.entries(rest)) {
    print(`${`${name}:`.padEnd(14)}${printable(String(value ?? "–"))}`);
  }
  print("");
  print(table(["AT", "WHAT"], timeline.map(({ at, what }) => [at, what])));
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

if (import.meta.main) Deno.exit(await runCommand(offersCommand, Deno.args));
