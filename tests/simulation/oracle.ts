import type { DatabaseSync } from "node:sqlite";
import { decodeFact, type FactOf } from "../../processor/facts/facts.ts";
import { isSame } from "../../processor/offers/core/offer.ts";
import type { OfferStoreReader, OfferStoreWriter } from "../../processor/offers/store.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import { endAt, newView, type Rule, THRESHOLD } from "./terms.ts";

/** Whose uses earned an offer, and until when what they were known by came in time. */
export type Earning = { readonly root: string; readonly until: number };

/** The fold of all facts, always up to date, and what it saw happen. */
export class Oracle {
  readonly db: DatabaseSync;
  readonly reader: OfferStoreReader;
  readonly #writer: OfferStoreWriter;
  /** Offers claimed while another one of the same person was on its way or sent. */
  readonly doubles: number[] = [];
  /** Offers claimed for a person who has not (any more) the uses. */
  readonly unearned: number[] = [];
  /** Per Message-ID, the claims on it that held, in order, with the time at which the attempt was due. */
  readonly held: { readonly claim: FactOf<"claimed">; readonly dueAt: number; readonly earning: Earning }[] =
    [];
  /** Subjects whose person was taken apart, and those who were one person with them. */
  readonly parted = new Set<string>();
  readonly #subjectsOf;
  readonly #others;
  readonly #earning;

  /** @param touched Gets the subjects that are one person with an erased one. */
  constructor(without: readonly Rule[], private readonly touched: Set<string>) {
    const view = newView(without);
    this.db = view.db;
    this.#writer = view.writer;
    this.reader = view.reader;
    this.#subjectsOf = this.db.prepare(
      "select s.subject from subject own join subject s on s.person = own.person where own.subject = ?",
    );
    this.#earning = this.db.prepare("select root, until from earning where offer = ?");
    this.#others = this.db.prepare(
      `select o.id, o.state from offer o join subject s on s.id = o.subject
       where s.person = (select person from subject where subject = ?)`,
    );
  }

  subjectsWith(subject: string): readonly string[] {
    const found = this.#subjectsOf.all(subject).map((row) => (row as { subject: string }).subject);
    return found.length === 0 ? [subject] : found;
  }

  offersWith(subject: string): readonly { id: number; state: string }[] {
    return this.#others.all(subject) as { id: number; state: string }[];
  }

  apply(record: TopicRecord): void {
    const text = new TextDecoder().decode(record.value);
    const outcome = decodeFact(text);
    if (!outcome.ok) throw new Error(outcome.reason);
    const { fact } = outcome;
    const before = fact.fact === "claimed" ? this.reader.offerNow(fact.offer) : null;
    if (fact.fact === "erased") {
      for (const one of fact.subjects) for (const s of this.subjectsWith(one)) this.touched.add(s);
    }
    const together = fact.fact === "joined" || fact.fact === "merge_asked"
      ? [fact.subject, fact.other].map((one) => this.subjectsWith(one))
      : [];
    this.#writer.apply([{ offset: record.offset, fact, text }], endAt(record));
    for (const subjects of together) {
      const still = this.subjectsWith(subjects[0]!);
      if (subjects.some((one) => !still.includes(one))) { for (const one of subjects) this.parted.add(one); }
    }
    if (fact.fact === "claimed" && before !== null) this.#claimed(fact, before.offer.state);
  }

  #claimed(claim: FactOf<"claimed">, before: { is: string; dueAt?: number }): void {
    const offer = this.reader.offerNow(claim.offer)?.offer;
    if (offer?.state.is !== "sending" || !isSame(offer.state.by, claim.by)) return;
    this.held.push({ claim, dueAt: before.dueAt!, earning: this.#earning.get(offer.id) as Earning });
    // The rule may be left out of the fact; the promise is about the uses that the policy asks for.
    if (this.reader.personOf(offer.subject).uses < THRESHOLD) this.unearned.push(offer.id);
    const other = this.offersWith(offer.subject).find(({ id, state }) =>
      id !== offer.id && (state === "sending" || state === "offered")
    );
    if (other !== undefined) this.doubles.push(offer.id);
  }

  /** Everything that two views of the same facts must have in common. */
  static dump(db: DatabaseSync): string {
    const all = (sql: string) => db.prepare(sql).all();
    return JSON.stringify([
      all("select id, body from offer order by id"),
      all("select * from use order by subject, uuid"),
      all("select * from address order by subject, mailbox"),
      all("select * from unproven order by subject, what"),
      all("select * from earning order by offer"),
      all("select * from party order by offer, subject"),
      all("select * from destination order by offer, proven"),
      all("select * from joined order by a, b"),
      all("select * from claimed order by mailbox"),
      all("select * from suppressed order by mailbox"),
      all("select * from opted_out order by subject"),
      all(
        `select p.state, p.size, p.uses, p.opted_out, p.newest_mailbox, p.offer, p.due, p.due_proven, s.subject from person p join subject s on s.person = p.id order by s.subject`,
      ),
    ]);
  }
}
