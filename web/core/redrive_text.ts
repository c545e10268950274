/** What a redrive came to: as it travels in the address behind a form's redirect, and in words. Pure. */
import type { DismissAnswer, RedriveAnswer } from "../../contract/processor_api.ts";
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

/** Why an edit was not sent, or a letter not set aside; it stays on the page that asked. */
export const STAYED: Readonly<Record<RedriveFailure, string>> = {
  busy:
    "Not now: a replay, an erasure or another redrive is under way. Nothing was done; try again when it has ended.",
  gone: "There is no such letter any more. Nothing was done.",
  unclear:
    "The processor did not answer in time, so it is not known how far it came. Try again: nothing is done twice.",
  refused: "The processor refused it. Nothing was done.",
};

const ASIDE: Readonly<Record<DismissAnswer["outcome"], RedriveNote>> = {
  dismissed: {
    tone: "ok",
    text: "Set aside for good. It stands under all letters still, and is never redriven.",
  },
  already_dismissed: { tone: "ok", text: "It has been set aside for good already." },
  redriven: { tone: "warn", text: "It has been redriven: its event goes on, so nothing was set aside." },
  half_redriven: {
    tone: "warn",
    text:
      "A redrive of it was cut short behind its copy: its event goes on. Redrive it once more to end that.",
  },
};

/** What setting aside came to, as the query of the page that shows it afterwards. */
export function asideQuery({ outcome }: Pick<DismissAnswer, "outcome">): Record<string, string> {
  return { aside: outcome };
}

/** What a resend came to, likewise. */
export function resentQuery(answer: Pick<RedriveAnswer, "redriven">): Record<string, string> {
  return { resent: answer.redriven > 0 ? "edited" : "before" };
}

const RESENT: Readonly<Record<string, RedriveNote>> = {
  edited: {
    tone: "ok",
    text: "Sent again as you edited it, and marked so. If that fails too, it comes back here.",
  },
  before: {
    tone: "warn",
    text: "It went on before, so your edit was not sent: no letter is redriven twice.",
  },
};

type Counts = Pick<RedriveAnswer, "dryRun" | "redriven" | "alreadyThere" | "refused">;

/** Why the processor did not do it, by the status of its answer; null: it gave none. */
export function failureOf(status: number | null): RedriveFailure {
  if (status === 409) return "busy";
  if (status === 404) return "gone";
  // A 503 came out of the middle of it: the log went away.
  return status === null || status >= 500 ? "unclear" : "refused";
}

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
  const aside = query.get("aside");
  if (aside !== null && Object.hasOwn(ASIDE, aside)) return ASIDE[aside as keyof typeof ASIDE];
  const resent = query.get("resent");
  if (resent !== null && Object.hasOwn(RESENT, resent)) return RESENT[resent]!;
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
