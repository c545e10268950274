import { decodeJson, isObject, orNull } from "../../contract/envelope.ts";

/** Whose data must go, and what of theirs is new data afterwards. Persons stand here as keyed hashes only. */

/** Before the subject of a keyed hash, in place of a distinct_id that is personal itself. */
export const PERSON_PREFIX = "person-";

/** One erase command as its record says it. `at` in milliseconds since 1970. */
export type Erasure = { readonly subjects: readonly string[]; readonly at: number };

/** The furthest erasure of a subject in one partition: its record's offset and its time. */
export type ErasedUntil = { readonly offset: number; readonly at: number };

/** Erased subjects of one partition. */
export type ErasedSubjects = ReadonlyMap<string, ErasedUntil>;

/** Where nobody was erased. */
export const NOBODY: ErasedSubjects = new Map();

/** Why an erasure record that cannot be read is set aside. */
export const UNREADABLE_ERASURE_REASON = "the erasure names no subjects";

const SUBJECT = /^(p-)?[0-9a-f]{32}$/;
const PSEUDONYM = /^person-([0-9a-f]{32})$/;

/** The erasure in a record's value; null where the bytes are none. */
export function readErasure(value: Uint8Array): Erasure | null {
  const body = orNull((): unknown => decodeJson(value));
  if (!isObject(body) || !Array.isArray(body.subjects) || typeof body.at !== "string") return null;
  const at = Date.parse(body.at);
  const subjects = body.subjects.filter((one): one is string => typeof one === "string" && SUBJECT.test(one));
  if (Number.isNaN(at) || subjects.length === 0 || subjects.length !== body.subjects.length) return null;
  return { subjects, at };
}

/** The erased subjects with one erasure more; of two that name a subject the further offset and the later time stand. */
export function withErasure(
  erased: ErasedSubjects,
  erasure: Erasure & { readonly offset: number },
): ErasedSubjects {
  const next = new Map(erased);
  for (const subject of erasure.subjects) {
    const known = next.get(subject);
    next.set(subject, {
      offset: Math.max(erasure.offset, known?.offset ?? 0),
      at: Math.max(erasure.at, known?.at ?? -Infinity),
    });
  }
  return next;
}

/**
 * What erasures of other partitions say in this one: an offset counts only where it lies, the time everywhere, so that a
 * late event gives nothing in a partition either that was added after the erasure.
 */
export function elsewhere(erased: ErasedSubjects): ErasedSubjects {
  return new Map([...erased].map(([subject, { at }]) => [subject, { offset: 0, at }]));
}

/** Both together; of two that name a subject the further offset and the later time stand. */
export function joinErased(left: ErasedSubjects, right: ErasedSubjects): ErasedSubjects {
  return [...right].reduce<ErasedSubjects>(
    (all, [subject, { offset, at }]) => withErasure(all, { subjects: [subject], offset, at }),
    left,
  );
}

/** Those whose time `known` does not say yet. */
export function erasedLater(erased: ErasedSubjects, known: ErasedSubjects): ErasedSubjects {
  return new Map([...erased].filter(([subject, { at }]) => at > (known.get(subject)?.at ?? -Infinity)));
}

/**
 * Whether a record gives no line because its person was erased: it lies before the erasure, or its event time is not
 * after it. What comes later is new data.
 */
export function isErased(
  erased: ErasedSubjects,
  { subjects, offset, time }: {
    readonly subjects: readonly string[];
    readonly offset: number;
    readonly time: number;
  },
): boolean {
  return subjects.some((subject) => {
    const until = erased.get(subject);
    return until !== undefined && (offset < until.offset || time <= until.at);
  });
}

/**
 * The subjects that a distinct_id may stand for, as it came or as a line has it: its own keyed hash, and where it reads
 * `person-<subject>` that subject too.
 */
export function subjectsOf(distinctId: string, subject: (distinctId: string) => string): readonly string[] {
  const pseudonym = PSEUDONYM.exec(distinctId);
  return pseudonym ? [subject(distinctId), pseudonym[1]!] : [subject(distinctId)];
}
