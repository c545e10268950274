import { PERSON_PREFIX } from "../../processor/record/erasure.ts";
import { logFileOf } from "../../topic/sqlite/file.ts";
import {
  agoExactly,
  CommandFailedError,
  type CommandLine,
  grouped,
  print,
  printable,
  printJson,
  table,
} from "../command.ts";
import type { NotReadPlace } from "./person.ts";
import type { SearchedPlace } from "./remains.ts";

/** What an erasure did, and where it looked afterwards. Holds keyed hashes, and neither ids nor addresses. */
export type EraseReport = {
  readonly log: "embedded" | "kafka";
  /** True where no processor ran and the command did its work. */
  readonly own: boolean;
  readonly subjects: readonly string[];
  /** ISO 8601, UTC: what happened up to then is gone. */
  readonly at: string;
  /** Records of theirs in the raw topic. */
  readonly records: number;
  /** ISO 8601, UTC: when they were last erased before; null where they were not. */
  readonly erasedBefore: string | null;
  /** Those of the records that have come, and happened, since then. */
  readonly newRecords: number;
  /** Records of the raw topic that were emptied; null without `--scrub-topic`. */
  readonly topicScrubbed: number | null;
  /** Source positions whose dead letters went. */
  readonly letters: number;
  /** Persons taken out of the demo's PostHog stand-in. */
  readonly standInPersons: number;
  /** Places of the raw topic that cannot be read: only their bytes as they lie could be searched. */
  readonly notSearched: readonly NotReadPlace[];
  /** Datasets, exports and spooled files that were deleted. */
  readonly removed: readonly string[];
  readonly lookedFor: { readonly ids: number; readonly addresses: number; readonly prompts: number };
  readonly places: readonly SearchedPlace[];
  /** Sum over the places: 0 where the erasure is complete. */
  readonly left: number;
};

/** What `--dry-run` shows. */
export type ErasePlan = {
  readonly subjects: readonly string[];
  /** distinct_ids and person.ids that the topic tells in plain. */
  readonly ids: readonly string[];
  readonly records: number;
  readonly erasedBefore: string | null;
  readonly newRecords: number;
  readonly letters: number;
  readonly copies: readonly string[];
  /** Records that discount-offers has not handled yet: whom they join is not known. */
  readonly behind: number;
};

/** Prints to standard output whom and what `erase` would erase, as one line of JSON where asked for. */
export function printPlan(plan: ErasePlan, { json }: CommandLine): void {
  if (json) return printJson({ dryRun: true, ...plan });
  print(`Would erase ${countOf(plan.subjects.length, "joined id")}:`);
  for (const id of plan.ids) print(`  ${printable(id)}`);
  for (const subject of plan.subjects) print(`  ${PERSON_PREFIX}${subject}`);
  const [records, letters] = [countOf(plan.records, "record"), countOf(plan.letters, "dead letter")];
  print(`${records} of theirs in the raw topic, ${letters}.`);
  printBefore(plan);
  for (const copy of plan.copies) print(`Would delete ${printable(copy)}`);
  if (plan.behind === 0) return;
  const behind = countOf(plan.behind, "record");
  print(`discount-offers is ${behind} behind: whom those join is not shown, and is erased too.`);
}

/** Throws {@link CommandFailedError}, after printing, where something is left. */
export function printReport(report: EraseReport, { json }: CommandLine): void {
  if (json) printJson(report);
  else printText(report);
  const places = report.places.filter(({ left }) => left > 0).map(({ place }) => place).join(", ");
  if (places === "") return;
  throw new CommandFailedError(
    `Cannot find everything gone: something of this person is left in ${places}. Where somebody else put it ` +
      `there, delete it; where the person was active meanwhile, erase again.`,
  );
}

function printText(report: EraseReport): void {
  const { subjects, lookedFor, places } = report;
  print(`Erased up to ${report.at}, ${countOf(subjects.length, "joined id")}:`);
  for (const subject of subjects) print(`  ${PERSON_PREFIX}${subject}`);
  const persons = countOf(report.standInPersons, "person");
  const standIn = report.standInPersons > 0 ? `, ${persons} of the PostHog stand-in` : "";
  const letters = countOf(report.letters, "dead letter");
  print(`Gone: their lines of the dataset, their offers and mail files, ${letters}${standIn}.`);
  printBefore(report);
  for (const path of report.removed) print(`Deleted ${printable(path)}`);
  print("");
  const [ids, prompts] = [countOf(lookedFor.ids, "id"), countOf(lookedFor.prompts, "prompt")];
  const addresses = countOf(lookedFor.addresses, "address", "addresses");
  print(`Looked for ${ids}, ${addresses} and ${prompts} of nobody else, in every file:`);
  const rows = places.map(({ place, files, bytes, left, kept }) => [place, files, bytes, left, kept]);
  print(table(["PLACE", "FILES", "BYTES", "LEFT", "KEPT"], rows));
  print("");
  for (const sentence of keptText(report)) print(sentence);
}

function printBefore({ erasedBefore, newRecords }: Pick<ErasePlan, "erasedBefore" | "newRecords">): void {
  if (erasedBefore === null) return;
  const since = newRecords === 0 ? "nothing new" : countOf(newRecords, "new record");
  print(`They had been erased before, up to ${agoExactly(erasedBefore)}; since then: ${since}.`);
}

/** Places that are named one by one. */
const PLACES_NAMED_MAX = 20;

/** Why something may stay where KEPT is not 0, and what cannot be seen from here. */
function keptText({ log, topicScrubbed, records, places, notSearched }: EraseReport): string[] {
  const rawKept = places.some(({ place, kept }) => place === logFileOf("ingest") && kept > 0);
  const othersKept = places.some(({ place, kept }) =>
    kept > 0 && (place !== logFileOf("ingest") || topicScrubbed !== null)
  );
  const count = countOf(records, "record");
  const sentences: string[] = [];
  if (notSearched.length > 0) {
    const named = notSearched.slice(0, PLACES_NAMED_MAX).map(({ partition, offset, nextOffset }) =>
      nextOffset === offset + 1
        ? `${partition}:${offset}`
        : `${partition}:${offset} to ${partition}:${nextOffset - 1}`
    ).join(", ");
    const more = notSearched.length > PLACES_NAMED_MAX ? " and more" : "";
    sentences.push(
      `Not searched, because it cannot be read: ${named}${more} of the raw topic, and the dead letters of these ` +
        "places. Packed bytes may hold something of theirs, which gives no line and counts for nothing.",
    );
  }
  if (log === "kafka") {
    sentences.push(
      `Kafka keeps what came: ${count} in the raw topic, and the bytes of dead letters that are ` +
        "listed no more, for the retention of their topics. No replay writes them.",
      "This DATA_DIR was searched; mails and offers of other hosts go when their processors meet the erasure, exports " +
        "there do not.",
    );
  }
  if (topicScrubbed !== null) {
    sentences.push(`${countOf(topicScrubbed, "record")} of the raw topic emptied; offset and time stay.`);
  } else if (rawKept) {
    sentences.push(
      `The raw topic keeps what came (${count}); no replay writes it. Empty it with --scrub-topic.`,
    );
  }
  if (othersKept) {
    sentences.push(
      "KEPT elsewhere: the same words in other people's data, or data that is newer than the erasure.",
    );
  }
  return [
    ...sentences,
    "What stays is keyed hashes: the erasure itself, facts, the claim on a mailbox, opt-outs.",
  ];
}

function countOf(count: number, one: string, several = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : several}`;
}
