import { z } from "zod";
import { CLOSED_REASONS } from "../../contract/processor_api.ts";

/**
 * The facts of `discount.facts`: everything that is known about offers, each true whatever else happens. They hold keyed
 * hashes only; their order in the topic is the order for everybody. What they mean together is decided in
 * `processor/offers/core/offer.ts`.
 *
 * On the wire a fact is JSON with times in ISO 8601 and positions as `partition:offset`; in memory both are numbers.
 */

/** Where in `posthog.webhooks` the record lies that brought a fact. */
export type Position = { readonly partition: number; readonly offset: number };

/** Who claimed an attempt: a DATA_DIR (its random id), the number of the start there, the number of the claim in it. */
export type Claimer = { readonly dataDir: string; readonly start: number; readonly claim: number };

/** Why an offer that waited ends without a mail. */
export type ClosedReason = typeof CLOSED_REASONS[number];

/**
 * What asked PostHog to merge two ids: `$identify`, `$create_alias`, or `$merge_dangerously`, which it never refuses.
 */
const MERGE_HOWS = ["identify", "alias", "dangerous"] as const;
export type MergeHow = typeof MERGE_HOWS[number];

/** What a record may say without the proof that `IDENTITY_SECRET` asks for. */
const UNPROVEN_KINDS = ["address", "join", "opt_out"] as const;
export type UnprovenKind = typeof UNPROVEN_KINDS[number];

const time = z.iso.datetime().transform((text) => Date.parse(text));
const position = z.string().regex(/^\d{1,4}:\d{1,16}$/).transform((text): Position => {
  const colon = text.indexOf(":");
  return { partition: Number(text.slice(0, colon)), offset: Number(text.slice(colon + 1)) };
});
const subject = z.string().regex(/^(p-)?[0-9a-f]{32}$/);
const personSubject = z.string().regex(/^p-[0-9a-f]{32}$/);
const mailbox = z.string().regex(/^[0-9a-f]{32}$/);
const count = z.int().nonnegative();
const by: z.ZodType<Claimer> = z.object({ dataDir: z.string(), start: count, claim: count });
/** Absent: it came without a proof, or nobody asked for one. */
const proven = z.literal(true).optional();
const offsets = z.record(z.string(), count);

/** What every fact of an attempt names: the offer (the offset of its `earned`), the attempt, and the claim if there was one. */
const attempt = { subject, at: time, offer: count, attempt: count };

const factSchema = z.discriminatedUnion("fact", [
  /**
   * Always the first. Later ones with the same fingerprint only say up to where lost state has been read again, and which
   * raw topic the positions speak of; the last `topicId` holds.
   */
  z.object({
    fact: z.literal("secret"),
    at: time,
    fingerprint: z.string(),
    lostBefore: offsets.optional(),
    caughtUp: offsets.optional(),
    topicId: z.string().optional(),
  }),
  /** Which dataset the group dataset-writer writes: the first holds, until another takes over from the one that holds. */
  z.object({
    fact: z.literal("dataset"),
    at: time,
    id: z.string(),
    takesOver: z.string().nullable().optional(),
  }),
  /** This subject used a feature: one uuid, counted once. */
  z.object({ fact: z.literal("counted"), subject, at: time, position, uuid: z.string() }),
  /**
   * These two subjects are one person: `other` is the person.id that PostHog showed of this subject in an event of the time
   * `eventAt`; told again where a later one decides a merge. Facts of before `merge_asked` also say it of two ids, for good.
   */
  z.object({
    fact: z.literal("joined"),
    subject,
    at: time,
    position,
    other: subject,
    eventAt: time.optional(),
    proven,
  }),
  /**
   * PostHog was asked at about `askedAt` to merge `other` into this subject's person, and showed `person` (none where it shows none) after its
   * decision. Whether they are one person is the fold's affair, see `processor/offers/core/merge.ts`.
   */
  z.object({
    fact: z.literal("merge_asked"),
    subject,
    at: time,
    position,
    other: subject,
    how: z.enum(MERGE_HOWS),
    askedAt: time,
    person: personSubject.optional(),
    proven,
  }),
  /** This subject's address, at this received time. */
  z.object({ fact: z.literal("addressed"), subject, at: time, position, mailbox, proven }),
  /** Something came for this subject without its proof, which counts for nothing; said once per subject and kind. */
  z.object({ fact: z.literal("unproven"), subject, at: time, position, what: z.enum(UNPROVEN_KINDS) }),
  /** No more mail to this person, nor to this mailbox. */
  z.object({ fact: z.literal("opted_out"), subject, at: time, position, mailbox: mailbox.nullable() }),
  /** No more mail to this mailbox, whoever has it. */
  z.object({ fact: z.literal("suppressed"), at: time, mailbox }),
  /** What these subjects' records in this partition, below this one, brought is gone. `at`: when the erasure was asked for. */
  z.object({ fact: z.literal("erased"), at: time, position, subjects: z.array(subject) }),
  /** The person of this subject has the uses; begins an offer. */
  z.object({ fact: z.literal("earned"), subject, at: time, position, uses: count, dueAt: time }),
  /** This attempt is about to be sent to this mailbox. */
  z.object({ fact: z.literal("claimed"), ...attempt, by, mailbox, messageId: z.string() }),
  /** The server took it. */
  z.object({ fact: z.literal("accepted"), ...attempt, by, words: z.string() }),
  /** It was not sent; tried again at `nextAttemptAt`, or never where no attempt is left. */
  z.object({
    fact: z.literal("deferred"),
    ...attempt,
    by: by.nullable(),
    words: z.string(),
    nextAttemptAt: time.nullable(),
  }),
  /** It was not sent and never will be. */
  z.object({ fact: z.literal("refused"), ...attempt, by: by.nullable(), words: z.string() }),
  /** Claimed, and nobody can know whether the server took it. */
  z.object({ fact: z.literal("unknown"), ...attempt, by, words: z.string() }),
  /** The offer ends without a mail. With `state_lost` the mailbox counts as rewarded. */
  z.object({
    fact: z.literal("closed"),
    ...attempt,
    reason: z.enum(CLOSED_REASONS),
    mailbox: mailbox.nullable(),
  }),
  /** Once more, due at once: by a person's decision, or by `resend-once`. `after`: the attempt it follows. */
  z.object({
    fact: z.literal("reopened"),
    subject,
    at: time,
    offer: count,
    after: count,
    reason: z.string(),
  }),
]);

/** A record of `discount.facts`, read and checked. */
export type Fact = z.output<typeof factSchema>;
export type FactOf<Kind extends Fact["fact"]> = Extract<Fact, { fact: Kind }>;

/** A fact that speaks of an offer that exists; `earned` and `erased` make and remove one. */
export type OfferFact = FactOf<
  "claimed" | "accepted" | "deferred" | "refused" | "unknown" | "closed" | "reopened"
>;

/** A fact where it lies in the topic. */
export type PlacedFact<F extends Fact = Fact> = { readonly offset: number; readonly fact: F };

/** A record of the facts topic that cannot be applied, and whether passing over it is the same for every version. */
export type FactOutcome =
  | { readonly ok: true; readonly fact: Fact }
  | { readonly ok: false; readonly is: "no_fact" | "newer"; readonly reason: string };

const KINDS: ReadonlySet<string> = new Set(factSchema.options.map((option) => option.shape.fact.value));

/**
 * The fact in a record's value, decoded as UTF-8. `no_fact`: something else lies there, every version passes over it. `newer`: a kind that
 * this version does not know; a view that passed over it would differ from the others'.
 */
export function decodeFact(text: string): FactOutcome {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, is: "no_fact", reason: "no JSON" };
  }
  const kind = typeof json === "object" && json !== null ? (json as { fact?: unknown }).fact : undefined;
  if (typeof kind === "string" && !KINDS.has(kind)) {
    return { ok: false, is: "newer", reason: `unknown kind "${kind}"` };
  }
  const parsed = factSchema.safeParse(json);
  if (parsed.success) return { ok: true, fact: parsed.data };
  return { ok: false, is: "no_fact", reason: z.prettifyError(parsed.error).replaceAll("\n", " ") };
}
