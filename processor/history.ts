import { isScrubbed } from "../contract/dead_letter.ts";
import { type PosthogEnvelope, readEnvelope, readLabel, recordId } from "../contract/envelope.ts";
import type { KeyedHashes } from "../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP, FACTS_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { DeliveryOutcome, EventDetail, NoEvent } from "../contract/processor_api.ts";
import { FEATURE_USED, isTold } from "../contract/product_events.ts";
import type { TraceStep } from "../contract/trace_step.ts";
import { tailOf } from "../topic/tail.ts";
import { LogSetupError, type TopicLog, type TopicRecord } from "../topic/topic.ts";
import { decide } from "./dataset/core/decision.ts";
import { ignoredBecause } from "./dataset/trace.ts";
import { type FoundLine, LineFinder } from "./dataset/reading/find_line.ts";
import { type CurrentDataset, known } from "./dataset/reading/reader.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import type { DeadLetterList } from "./dead_letters/list.ts";
import {
  elsewhere,
  type ErasedSubjects,
  isErased,
  joinErased,
  NOBODY,
  PERSON_PREFIX,
  subjectsOf,
} from "./record/erasure.ts";
import { namedIn, ownTimeIn } from "./record/known_id.ts";
import { eventTime, isoTime } from "./record/event_time.ts";
import { TEXT_BYTES_MAX } from "./sanitise/mod.ts";
import { offersTold, type WhoseOffer } from "./offer_history.ts";
import type { ListedOffer } from "./offers/sqlite/status_reader.ts";

/**
 * What has become of events, read from where it is kept: topic, windows, manifests, letters, facts. Nothing is kept here, so
 * that it is the same after every restart; all of it is bounded, and an answer says how far was looked.
 */
export type HistoryOptions = {
  readonly log: TopicLog;
  readonly dataset: CurrentDataset;
  readonly trainingEvents: readonly string[];
  readonly dedupWindow: number;
  readonly hashes: KeyedHashes;
  readonly lineId: (distinctId: string) => string;
  readonly letters: DeadLetterList;
  /** An offer as the view has it, by the offset of its `earned`; null where it does not hold, or is gone. */
  readonly offerById: (offer: number) => OfferKnown | null;
  /** Where ids occur in the windows of this process's writers. */
  readonly lookFor: (ids: readonly string[]) => Promise<readonly WindowFinding[]>;
  readonly showRaw: boolean;
};

type OfferKnown = Pick<ListedOffer, "subject" | "position" | "addressKnown">;

/** Events, offers and mails that the trace begins with after a start, together. */
export const REFILLED_MAX = 200;
const REFILL_BYTES_MAX = 2 * 1024 * 1024;
const REFILL_LINE_BYTES_MAX = 2 * 1024 * 1024;
/** Of a partition's end, where no window of this process tells: records and bytes. */
const LOOKED_AT_MAX = 2_000;
const LOOKED_AT_BYTES_MAX = 8 * 1024 * 1024;
const FACTS_LOOKED_AT_MAX = 5_000;
const FACTS_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of a file's end in which an event's line is looked for. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const DELIVERIES_MAX = 100;
const OFFERS_READ_AT_ONCE = 8;

type Place = { readonly id: string; readonly offset: number; readonly redrives: number };

/** One record with what became of it. */
type Delivery = {
  readonly record: TopicRecord;
  readonly outcome: DeliveryOutcome;
  readonly event: string | null;
  readonly distinctId: string | null;
  readonly reason?: string;
  readonly eventAt: string | null;
  readonly line: FoundLine | null;
  readonly envelope: PosthogEnvelope | null;
};

/** What the manifests and the offers' group say at one moment. */
type Moment = {
  readonly nextOffsets: ReadonlyMap<number, number>;
  readonly erased: (partition: number) => ErasedSubjects;
  readonly countedTo: readonly (number | null)[];
  readonly lines: LineFinder;
};

export class History {
  constructor(private readonly options: HistoryOptions) {}

  /** Everything known of one event, or only where it was looked for in vain. */
  async eventOf(uuid: string, { withRaw }: { readonly withRaw: boolean }): Promise<EventDetail | NoEvent> {
    const { log } = this.options;
    const { places, lookedAt } = await this.#placesOf(uuid);
    const nothing = { lookedAt: { partitions: lookedAt, facts: null } };
    if (places.size === 0) return nothing;
    const moment = await this.#moment(LINE_BYTES_MAX);
    const deliveries: Delivery[] = [];
    for (const [partition, found] of [...places].sort(([a], [b]) => a - b)) {
      for (const { offset } of found) {
        if (deliveries.length >= DELIVERIES_MAX) break;
        const record = await recordAt(log, { partition, offset });
        if (record) deliveries.push(await this.#deliveryOf(record, found, moment));
      }
    }
    if (deliveries.length === 0) return nothing;
    const known = deliveries.find(({ distinctId }) => distinctId !== null) ?? deliveries[0]!;
    const { facts, looked } = await this.#factsOf(deliveries);
    const line = deliveries.find(({ outcome }) => outcome === "line")?.line ?? null;
    return {
      uuid,
      event: known.event,
      distinctId: known.distinctId,
      deliveries: deliveries.map((one) => deliveryView(one, withRaw)),
      line: line && {
        file: line.file,
        line: line.is === "line" ? line.line : null,
        text: line.is === "line" ? line.text : null,
      },
      facts,
      lookedAt: { partitions: lookedAt, facts: looked },
    };
  }

  /**
   * Steps of the newest events that were handled before, and of the newest offers and mails, oldest first: marked as read
   * from the log.
   *
   * @param told Asked last: positions whose steps were told live meanwhile.
   */
  async newestSteps(told: () => ReadonlySet<string>, at: string): Promise<TraceStep[]> {
    const { log } = this.options;
    const bounds = await log.bounds(WEBHOOKS_TOPIC);
    const [offers, ...tails] = await Promise.all([
      offersTold(log),
      ...bounds.map((one) =>
        tailOf(log, {
          topic: WEBHOOKS_TOPIC,
          bounds: one,
          recordsMax: REFILLED_MAX,
          bytesMax: Math.ceil(REFILL_BYTES_MAX / bounds.length),
        })
      ),
    ]);
    const records = tails.flatMap(({ records }) => records)
      .sort((a, b) => a.timestamp - b.timestamp || a.offset - b.offset);
    // An offer has the time of the event that earned it, and stands behind it.
    const all = [
      ...records.map((record) => ({ at: record.timestamp, record, offer: null })),
      ...offers.map((offer) => ({ at: offer.at, record: null, offer })),
    ].sort((a, b) => a.at - b.at).slice(-REFILLED_MAX);
    const newest = all.flatMap(({ record }) => record ?? []);
    const ids = new Map(newest.map((record) => [record, idOf(record)]));
    const findings = new Map(
      (await this.options.lookFor([...new Set(ids.values())])).map((one) => [one.partition, one]),
    );
    const moment = await this.#moment(REFILL_LINE_BYTES_MAX);
    const whose = await this.#whoseOffers(all.flatMap(({ offer }) => offer?.offer ?? []), {
      records,
      moment,
    });
    const deliveries = new Map<TopicRecord, Delivery>();
    for (const { record } of all) {
      if (record === null) continue;
      const { partition } = record;
      const inWindow = findings.get(partition)?.found.filter(({ id }) => id === ids.get(record));
      const others = inWindow ??
        newest.filter((other) => ids.get(other) === ids.get(record) && other.partition === partition)
          .map(placeOf);
      deliveries.set(record, await this.#deliveryOf(record, others, moment));
    }
    const live = told();
    return all.flatMap(({ record, offer }) => {
      if (record === null) {
        const found = whose.get(offer.offer) ?? null;
        return found === null ? [] : [offer.stepOf(found)];
      }
      if (live.has(`${record.partition}:${record.offset}`)) return [];
      return this.#stepsOf(deliveries.get(record)!, at);
    });
  }

  /** Whose offers these are, by the offer; null of one that does not hold, or of whose person nothing may be told. */
  async #whoseOffers(
    offers: readonly number[],
    { records, moment }: { readonly records: readonly TopicRecord[]; readonly moment: Moment },
  ): Promise<ReadonlyMap<number, WhoseOffer | null>> {
    const { log, offerById, hashes, lineId } = this.options;
    const read = new Map(records.map((record) => [`${record.partition}:${record.offset}`, record]));
    const whoseOffer = async (id: number): Promise<WhoseOffer | null> => {
      const offer = offerById(id);
      if (offer === null) return null;
      const { position: { partition, offset }, subject, addressKnown } = offer;
      const record = read.get(`${partition}:${offset}`) ?? await recordAt(log, { partition, offset });
      const distinctId = record === null || isScrubbed(record) ? null : namedIn(record);
      if (record === null || distinctId === null || hashes.subject(distinctId) !== subject) return null;
      const { timestamp: time } = record;
      if (isErased(moment.erased(partition), { subjects: [subject], offset, time })) return null;
      return { id: idOf(record), distinctId: lineId(distinctId), addressKnown };
    };
    const found = new Map<number, WhoseOffer | null>();
    const left = [...new Set(offers)];
    while (left.length > 0) {
      const some = left.splice(0, OFFERS_READ_AT_ONCE);
      for (const [i, one] of (await Promise.all(some.map(whoseOffer))).entries()) found.set(some[i]!, one);
    }
    return found;
  }

  #stepsOf(
    { record, outcome, event, distinctId, reason, eventAt, line, envelope }: Delivery,
    at: string,
  ): TraceStep[] {
    const steps: TraceStep[] = [];
    const { partition, offset, timestamp } = record;
    const [id, position] = [idOf(record), `${partition}:${offset}`];
    if (outcome === "dead_letter" && reason && (event === null || distinctId === null)) {
      return [{ step: "dead_lettered", id, at, fromLog: true, position, reason }];
    }
    if (outcome === "waiting" || event === null || distinctId === null || !isTold(event)) return steps;
    const prompt = envelope?.properties.input_prompt;
    const common = { id, at, fromLog: true } as const;
    const raw = this.options.showRaw && typeof prompt === "string" ? { rawPrompt: prompt } : {};
    const receivedAt = isoOf(timestamp);
    steps.push({ step: "polled", ...common, event, distinctId, position, eventAt, receivedAt, ...raw });
    if (outcome === "duplicate") steps.push({ step: "duplicate", ...common, position });
    if (outcome === "dead_letter" && reason) {
      steps.push({ step: "dead_lettered", ...common, position, reason });
    }
    if (line?.is === "line") {
      const { line: number, prompt, file } = line;
      steps.push({ step: "written", ...common, file, line: number, prompt });
    }
    if (outcome === "ignored") {
      const isTraining = this.options.trainingEvents.includes(event);
      const reason = isTraining ? "no_line" : ignoredBecause("other_event", event);
      if (reason) steps.push({ step: "ignored", ...common, reason });
    }
    return steps;
  }

  /** Exact where a window of this process covers a partition; else, and above the window, its end is read. */
  async #placesOf(uuid: string) {
    const { log, lookFor } = this.options;
    const [bounds, findings] = await Promise.all([log.bounds(WEBHOOKS_TOPIC), lookFor([uuid])]);
    const places = new Map<number, Place[]>();
    const lookedAt: EventDetail["lookedAt"]["partitions"] = [];
    for (const one of bounds) {
      const { partition, startOffset, endOffset } = one;
      const inWindow = findings.find((finding) => finding.partition === partition);
      const covered = inWindow && inWindow.to > startOffset ? inWindow : null;
      const above = { ...one, startOffset: Math.min(endOffset, Math.max(startOffset, covered?.to ?? 0)) };
      const tail = await tailOf(log, {
        topic: WEBHOOKS_TOPIC,
        bounds: above,
        recordsMax: LOOKED_AT_MAX,
        bytesMax: LOOKED_AT_BYTES_MAX,
      });
      const found = [
        ...(covered?.found ?? []).filter(({ offset }) => offset >= startOffset),
        ...tail.records.filter((record) => idOf(record).toLowerCase() === uuid.toLowerCase()).map(placeOf),
      ].sort((a, b) => a.offset - b.offset);
      if (found.length > 0) places.set(partition, found);
      const meets = covered !== null && tail.from <= covered.to;
      const from = meets ? Math.max(startOffset, covered.from) : tail.from;
      lookedAt.push({ partition, from, to: endOffset, startOffset });
    }
    return { places, lookedAt };
  }

  async #deliveryOf(record: TopicRecord, places: readonly Place[], moment: Moment): Promise<Delivery> {
    const { partition, offset } = record;
    const { trainingEvents, lineId, hashes, letters, dedupWindow } = this.options;
    const label = readLabel(record.headers);
    const isTraining = label.event === undefined || trainingEvents.includes(label.event);
    const read = isTraining ? readEnvelope(record.value) : null;
    const envelope = read?.ok ? read.envelope : null;
    const event = label.event ?? envelope?.event ?? null;
    const key = namedIn(record);
    const distinctId = envelope?.distinctId ?? key;
    const time = eventTime(envelope?.timestamp ?? null, record.timestamp);
    const erased = moment.erased(partition);
    const isGone = isScrubbed(record) || distinctId !== null && erased.size > 0 &&
        isErased(erased, { subjects: subjectsOf(distinctId, hashes.subject), offset, time });
    const known = { record, event, eventAt: null, line: null, envelope: null };
    if (isGone) return { ...known, outcome: "ignored", distinctId: null };
    const who = label.source === "unsubscribe" || label.source === "erase"
      ? `${PERSON_PREFIX}${key}`
      : distinctId === null
      ? null
      : lineId(distinctId);
    const eventAt = envelope ? isoTime(time, envelope.timestamp) : ownTimeIn(record);
    const shown = { ...known, distinctId: who, eventAt, envelope };
    if (offset >= (moment.nextOffsets.get(partition) ?? 0)) return { ...shown, outcome: "waiting" };
    const repeats = places.some((other) =>
      other.offset < offset && other.offset >= offset - dedupWindow && other.redrives >= label.redrives
    );
    // A repeat is told by its label and its time alone, as live: the first delivery has told the rest.
    if (repeats) return { ...known, distinctId: who, outcome: "duplicate", eventAt: ownTimeIn(record) };
    const reason = letters.reasonAt({ topic: WEBHOOKS_TOPIC, partition, offset });
    if (reason !== null) return { ...shown, outcome: "dead_letter", reason };
    if (
      envelope === null || !trainingEvents.includes(envelope.event) ||
      label.source !== undefined && label.source !== "backfill"
    ) {
      const isCounted = event === FEATURE_USED && offset < (moment.countedTo[partition] ?? 0);
      return { ...shown, outcome: isCounted ? "counted" : event === FEATURE_USED ? "waiting" : "ignored" };
    }
    const found = await moment.lines.find({
      record: { timestamp: eventAt!, partition, offset },
      event: envelope.event,
      distinctId: who!,
      text: () => this.#lineOf(record),
    });
    // A line that is nowhere in the whole file was taken out, or a later rule of the sanitiser refused it.
    const isLine = found?.is === "line" || found?.isWhole === false;
    return { ...shown, outcome: isLine ? "line" : "ignored", line: isLine ? found : null };
  }

  #lineOf(record: TopicRecord): string {
    const { outcome } = decide(record, {
      trainingEvents: new Set(this.options.trainingEvents),
      seen: () => false,
      hasLetter: () => false,
      erased: () => false,
      lineId: this.options.lineId,
    });
    return outcome.is === "line" ? outcome.line : "";
  }

  async #moment(lineBytesMax: number): Promise<Moment> {
    const { log, dataset, letters } = this.options;
    const [countedTo, reader] = await Promise.all([
      log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP),
      known(dataset),
      letters.catchUp(),
    ]);
    const partitions = reader?.partitions() ?? [];
    const nextOffsets = new Map(
      partitions.map((one) => [one, reader!.snapshot(one).manifest?.nextOffset ?? 0] as const),
    );
    const own = new Map(partitions.map((one) => [one, reader!.erasedIn(one)] as const));
    const nobody = own.values().every(({ size }) => size === 0);
    const erased = (partition: number) =>
      nobody ? NOBODY : [...own].reduce<ErasedSubjects>(
        (all, [other, theirs]) => joinErased(all, other === partition ? theirs : elsewhere(theirs)),
        NOBODY,
      );
    const remembered = new Map<number, ErasedSubjects>();
    return {
      nextOffsets,
      erased(partition) {
        const known = remembered.get(partition) ?? erased(partition);
        remembered.set(partition, known);
        return known;
      },
      countedTo,
      lines: new LineFinder(reader, lineBytesMax),
    };
  }

  /** Facts that name one of the positions; of the erased none has one that may be shown. */
  async #factsOf(deliveries: readonly Delivery[]) {
    const { log } = this.options;
    const positions = new Set(
      deliveries.filter(({ distinctId }) => distinctId !== null)
        .map(({ record: { partition, offset } }) => `${partition}:${offset}`),
    );
    try {
      const [bounds] = await log.bounds(FACTS_TOPIC);
      if (!bounds) return { facts: [], looked: null };
      const { records, from } = await tailOf(log, {
        topic: FACTS_TOPIC,
        bounds,
        recordsMax: FACTS_LOOKED_AT_MAX,
        bytesMax: FACTS_BYTES_MAX,
      });
      const facts = records.flatMap(({ value }) => factAt(value, positions));
      return { facts, looked: { from, to: bounds.endOffset } };
    } catch (error) {
      if (error instanceof LogSetupError) return { facts: [], looked: null };
      throw error;
    }
  }
}

function factAt(value: Uint8Array, positions: ReadonlySet<string>): Record<string, unknown>[] {
  try {
    const fact = JSON.parse(new TextDecoder().decode(value));
    return positions.has(fact?.position) ? [fact] : [];
  } catch {
    return [];
  }
}

function deliveryView(
  { record, outcome, reason, distinctId }: Delivery,
  withRaw: boolean,
): EventDetail["deliveries"][number] {
  const { partition, offset, timestamp, headers, value } = record;
  const isShown = withRaw && distinctId !== null;
  return {
    receivedAt: isoOf(timestamp),
    partition,
    offset,
    outcome,
    ...(reason ? { reason } : {}),
    redrives: readLabel(headers).redrives,
    headers: { ...headers },
    ...(isShown ? { raw: new TextDecoder().decode(value.subarray(0, TEXT_BYTES_MAX)) } : {}),
  };
}

async function recordAt(
  log: TopicLog,
  { partition, offset }: { readonly partition: number; readonly offset: number },
): Promise<TopicRecord | null> {
  const reading = log.read(WEBHOOKS_TOPIC, {
    partition,
    from: offset,
    until: offset + 1,
    endsAtOpenTransaction: true,
    unreadable: () => Promise.resolve("skip"),
  });
  for await (const { records } of reading) {
    for (const record of records) if (record.offset === offset) return record;
  }
  return null;
}

function idOf(record: TopicRecord): string {
  return isScrubbed(record) ? "" : recordId(readLabel(record.headers), record.value);
}

function placeOf(record: TopicRecord): Place {
  return { id: idOf(record), offset: record.offset, redrives: readLabel(record.headers).redrives };
}

function isoOf(timestamp: number): string {
  return new Date(Math.abs(timestamp) <= 8.64e15 ? timestamp : 0).toISOString();
}
