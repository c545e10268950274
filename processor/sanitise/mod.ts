import { Buffer } from "node:buffer";
import { Looks, LOOKS_PER_CHARACTER_MAX, TooManyLooksError } from "./counted_text.ts";
import { type KnownValues, NO_KNOWN_VALUES } from "./known.ts";
import { replace, type Sanitised, type Span } from "./replace.ts";
import type { Entity } from "./rules.ts";

export type { Entity, KnownValues, Sanitised, Span };
export { NO_KNOWN_VALUES };
export { SANITISER_VERSION } from "./version.ts";

/** Largest text, in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 1024 * 1024;

/**
 * `too_large`: over {@link TEXT_BYTES_MAX}. `too_complex`: over {@link LOOKS_PER_CHARACTER_MAX}. `failed`: a defect. The
 * text must not be used in any form.
 */
export class SanitiseError extends Error {
  readonly code: "too_large" | "too_complex" | "failed";

  constructor(code: SanitiseError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SanitiseError";
    this.code = code;
  }
}

/**
 * Replaces structured personal data and secrets by typed placeholders.
 *
 * A function of text, known values and {@link SANITISER_VERSION} alone: no clock, no chance, no memory of other texts.
 * Doing it twice changes nothing more. Outside the spans text stays as it was, but for terminal escape sequences and
 * control characters (removed) and lone surrogates (U+FFFD). U+0085 ends a line in some readers: it is kept, and
 * {@link escapeLine} takes care of it. Free names, postal addresses and dates are not looked for: what comes out is
 * sanitised, not anonymous.
 *
 * Takes time linear in the text: what rules look at is counted, and a text for which it is over
 * {@link LOOKS_PER_CHARACTER_MAX} is refused. Throws {@link SanitiseError}; callers set the record aside on any throw.
 */
export function sanitise(text: string, known: KnownValues = NO_KNOWN_VALUES): Sanitised {
  if (
    text.length > TEXT_BYTES_MAX ||
    (text.length * 3 > TEXT_BYTES_MAX && Buffer.byteLength(text) > TEXT_BYTES_MAX)
  ) {
    throw new SanitiseError(
      "too_large",
      `Cannot sanitise a text of over ${TEXT_BYTES_MAX} bytes: shorten it.`,
    );
  }
  try {
    return replace(text, known, new Looks(LOOKS_PER_CHARACTER_MAX * text.length));
  } catch (cause) {
    if (cause instanceof TooManyLooksError) {
      throw new SanitiseError(
        "too_complex",
        `Cannot sanitise this text: its rules would look at over ${LOOKS_PER_CHARACTER_MAX} characters per character ` +
          "of it; split it.",
        { cause },
      );
    }
    throw new SanitiseError("failed", "Cannot sanitise this text: a rule failed; the text is not used.", {
      cause,
    });
  }
}

/**
 * Escapes in a JSON text what JSON leaves raw and other programs take for the end of a line: U+0085, U+2028 and U+2029
 * (Python's `str.splitlines()` also splits at U+000B, U+000C and U+001C–1E, which JSON escapes already).
 */
export function escapeLine(json: string): string {
  return json.includes("\u0085") || json.includes("\u2028") || json.includes("\u2029")
    ? json.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
}

const LINE_ENDS = /[\u0085\u2028\u2029]/g;
