/** What a redrive came to: as it travels in the address behind a form's redirect, and in words. Pure. */
import type { RedriveAnswer } from "../../contract/processor_api.ts";
import { count, plural } from "./format.ts";

export type RedriveNote = {
  readonly tone: "ok" | "warn" | "bad";
  readonly text: string;
};

/** Why a form brought nothing about; `unclear`: the processor had not answered in time, or not at all. */
export type RedriveFailure = "busy" | "gone" | "unclear" | "refused";

const FAILURES: Record<RedriveFailure, RedriveNote> = {
  busy: {
    tone: "warn",
    text:
      "Not now: a replay, an erasure or another redrive is under way. Nothing was redriven; try again when it has " +
      "ended.",
  },
  gone: { tone: "warn", text: "There is no such letter any more. Nothing was redriven." },
  unclear: {
    tone: "bad",
    text:
      "The processor did not answer in time, so it is not known how far it came. Redrive again: no letter is " +
      "redriven twice.",
  },
  refused: { tone: "bad", text: "The processor refused the order. Nothing was redriven; its log says why." },
};

type Counts = Pick<RedriveAnswer, "dryRun" | "redriven" | "alreadyThere" | "refused">;

/** What a redrive came to, as the query of the page that shows it afterwards. */
export function answerQuery({ dryRun, redriven, alreadyThere, refused }: Counts): Record<string, string> {
  return { did: [dryRun ? "dry" : "real", redriven, alreadyThere, refused].join(".") };
}

/** Why a redrive did not happen, as the query of the page that shows it afterwards. */
export function failureQuery(failure: RedriveFailure): Record<string, string> {
  return { failed: failure };
}

/** The note of a page that was reached behind a form; null where it was not. */
export function noteOf(query: URLSearchParams): RedriveNote | null {
  const failed = query.get("failed");
  if (failed !== null && Object.hasOwn(FAILURES, failed)) return FAILURES[failed as RedriveFailure];
  const did = /^(dry|real)\.(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/.exec(query.get("did") ?? "");
  if (!did) return null;
  const [redriven, alreadyThere, refused] = did.slice(2).map(Number) as [number, number, number];
  return answerNote({ dryRun: did[1] === "dry", redriven, alreadyThere, refused });
}

function answerNote({ dryRun, redriven, alreadyThere, refused }: Counts): RedriveNote {
  const letters = (value: number) => `${count(value)} ${plural(value, "letter")}`;
  const parts = [
    redriven > 0 || alreadyThere + refused === 0
      ? `${letters(redriven)} ${dryRun ? "would be redriven" : "redriven"}`
      : null,
    alreadyThere > 0 ? `${letters(alreadyThere)} went on before, without another copy` : null,
    refused > 0 ? `${letters(refused)} ${dryRun ? "would be refused" : "refused"}` : null,
  ].filter((part) => part !== null).join(", ");
  const text = dryRun
    ? `Dry run: ${parts}. Nothing was done.`
    : redriven > 0
    ? `${parts}. One whose cause still stands comes back here, with one redrive more.`
    : `${parts}.`;
  return { tone: refused > 0 ? "warn" : "ok", text };
}
