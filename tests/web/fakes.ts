/**
 * Stand-ins for what `web/` talks to, for its browser suite: PostHog's capture endpoint, ingest, and a processor with
 * the real status API over made-up sources; its dead letters are real ones in a log in memory.
 *
 * Not imitated: webhooks, the topic, the sanitiser (an e-mail address and one phone number are replaced by their
 * placeholders), the offer's wait (a test says when the mail goes out), persons, SMTP. A repeat of an event is only
 * recognised by its uuid.
 */
import { gunzipSync } from "node:zlib";
import type { RecentWebhook } from "../../contract/ingest_api.ts";
import type {
  DatasetPage,
  DatasetTail,
  EventDetail,
  Figures,
  LineHits,
  MailListing,
  OfferListing,
  OfferQuery,
  OfferView,
  PipelineStatus,
} from "../../contract/processor_api.ts";
import { FEATURE_USED, GENERATION_FAILED, isTold, saysWho } from "../../contract/product_events.ts";
import type { Noted, TraceStep } from "../../contract/trace_step.ts";
import { datasetApi } from "../../processor/dataset/api.ts";
import { DatasetReadError } from "../../processor/dataset/core/read_error.ts";
import type { LinesQuery } from "../../processor/dataset/reading/lines.ts";
import type { PageQuery } from "../../processor/dataset/reading/listing.ts";
import { deadLetterApi } from "../../processor/dead_letters/api.ts";
import { createDeadLettersContext } from "../../processor/dead_letters/fixtures/dead_letters.ts";
import { createStatusApi, type StatusSources } from "../../processor/status/api.ts";
import { createTraceHub } from "../../processor/status/trace_hub.ts";
import { systemClock } from "../../runtime/clock.ts";

/** One request as it came to the fake PostHog. */
export type Captured = {
  method: string;
  path: string;
  headers: Headers;
  body: Uint8Array;
};

const FILE = "event=generation_failed/date=2026-01-01/p00003-0000.jsonl";
export const MESSAGE_ID = "offer-1@pipeline.test";
export const THRESHOLD = 5;

type Event = { uuid: string; event: string; timestamp: string; properties: Record<string, unknown> };

export type Fakes = ReturnType<typeof startFakes>;

export function startFakes(
  { showsRaw = true, password = null }: { showsRaw?: boolean; password?: string | null } = {},
) {
  const captured: Captured[] = [];
  const unsubscribed: { method: string; search: string; body: string }[] = [];
  const lines: string[] = [];
  /** Days that the dataset claims to have, each with the same lines. */
  const dates = ["2026-01-01"];
  const seen = new Set<string>();
  const offers = new Map<string, OfferView>();
  const deadLetters = createDeadLettersContext();
  /** What holds partitions up, by partition. */
  const held = new Map<number, Partial<PipelineStatus["groups"][number]["partitions"][number]>>();
  /** What the processor knows of single events. */
  const details = new Map<string, EventDetail>();
  /** What ingest says is durable, newest first. */
  const recent: RecentWebhook[] = [];
  /** What the fake PostHog says it has given up. */
  const givenUp: { at: string; uuid: string; event: string; attempts: number; words: string }[] = [];
  const mails: Omit<MailListing["mails"][number], "rank">[] = [];
  let offset = 0;
  /** What the processor has counted; a test sets it. */
  let figures = noFigures();
  let spooled = 0;
  const listeners = new Set<symbol>();
  const searched: { text: string; from: string | null }[] = [];
  /** What a search comes to instead of what is there. */
  let searching: LineHits | "busy" | null = null;
  /** Downloads; `held`: they have no end, `breaks`: but this one. */
  const exports = { begun: 0, ended: 0, held: false, breaks: false };
  let hub = createTraceHub("first");
  /** What the fake PostHog answers instead of 200; for tests of failures. */
  let posthogStatus = 200;

  function addMail({ to, subject = "Your discount code: SAVE-20", messageId = MESSAGE_ID }: {
    to: string;
    subject?: string;
    messageId?: string;
  }): void {
    mails.unshift({ messageId, to, subject, sentAt: new Date().toISOString() });
  }

  function take(event: Event): void {
    const distinctId = String(event.properties.distinct_id);
    const at = () => new Date().toISOString();
    recent.unshift({
      id: event.uuid,
      event: event.event,
      receivedAt: at(),
      durable: "log",
      partition: 3,
      offset,
    });
    const position = `3:${offset++}`;
    const steps: TraceStep[] = [{
      step: "polled",
      id: event.uuid,
      event: event.event,
      distinctId,
      position,
      eventAt: event.timestamp,
      receivedAt: at(),
      at: at(),
      ...(showsRaw && typeof event.properties.input_prompt === "string"
        ? { rawPrompt: event.properties.input_prompt }
        : {}),
    }];
    if (seen.has(event.uuid)) {
      hub.add([...steps, { step: "duplicate", id: event.uuid, position, at: at() }]);
      return;
    }
    seen.add(event.uuid);
    if (event.event === GENERATION_FAILED) steps.push(...write(event, distinctId, position));
    if (event.event === FEATURE_USED) steps.push(...countUse(event, distinctId));
    const set = event.properties.$set as { email?: string } | undefined;
    const email = set?.email ?? (event as { $set?: { email?: string } }).$set?.email;
    if (email) offerOf(distinctId).addressKnown = true;
    if (saysWho(event.event)) steps.push(noted(event, email ? ["address"] : []));
    const isOther = isTold(event.event) && ![GENERATION_FAILED, FEATURE_USED].includes(event.event) &&
      !saysWho(event.event);
    if (isOther) steps.push({ step: "ignored", id: event.uuid, reason: "other_event", at: at() });
    if (isTold(event.event)) hub.add(steps);
  }

  function noted({ uuid }: Event, what: readonly Noted[]): TraceStep {
    return { step: "noted", id: uuid, what, at: new Date().toISOString() };
  }

  function write(event: Event, distinctId: string, position: string): TraceStep[] {
    const prompt = event.properties.input_prompt;
    if (typeof prompt !== "string") {
      return [{
        step: "dead_lettered",
        id: event.uuid,
        position,
        reason: "prompt_missing",
        at: new Date().toISOString(),
      }];
    }
    const input_prompt = sanitised(prompt);
    lines.push(JSON.stringify({
      timestamp: event.timestamp,
      event: event.event,
      failure_reason: event.properties.failure_reason ?? null,
      input_prompt,
      distinct_id: distinctId,
    }));
    return [{
      step: "written",
      id: event.uuid,
      file: FILE,
      line: lines.length,
      prompt: input_prompt,
      at: new Date().toISOString(),
    }];
  }

  function countUse(event: Event, distinctId: string): TraceStep[] {
    const offer = offerOf(distinctId);
    if (offer.uses >= THRESHOLD) return [noted(event, ["not_counted"])];
    offer.uses++;
    const at = new Date().toISOString();
    const steps: TraceStep[] = [{
      step: "counted",
      id: event.uuid,
      uses: offer.uses,
      threshold: THRESHOLD,
      at,
    }];
    if (offer.uses === THRESHOLD) {
      offer.state = "waiting";
      offer.offer = "3:0";
      offer.earnedAt = at;
      offer.dueAt = new Date(Date.now() + 120_000).toISOString();
      offer.timeline.push({ at, what: "earned with 5 uses" });
      const { addressKnown, dueAt } = offer;
      steps.push({ step: "earned", id: event.uuid, offer: "3:0", distinctId, dueAt, addressKnown, at });
    }
    return steps;
  }

  function offerOf(distinctId: string): OfferView {
    const offer = offers.get(distinctId) ?? {
      distinctId,
      state: "counting",
      reason: null,
      uses: 0,
      threshold: THRESHOLD,
      addressKnown: false,
      earnedAt: null,
      dueAt: null,
      sentAt: null,
      code: null,
      messageId: null,
      timeline: [],
    };
    offers.set(distinctId, offer);
    return offer;
  }

  const posthog = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const url = new URL(request.url);
    if (url.pathname === "/healthz") return Response.json({ status: "ok", delivered: offset });
    if (url.pathname === "/api/deliveries") return Response.json({ delivered: offset, lastErrors: givenUp });
    const body = new Uint8Array(await request.arrayBuffer());
    captured.push({
      method: request.method,
      path: url.pathname + url.search,
      headers: request.headers,
      body,
    });
    if (url.pathname === "/elsewhere") {
      return new Response(null, { status: 302, headers: { location: "http://192.0.2.1/" } });
    }
    if (posthogStatus !== 200) return new Response("", { status: posthogStatus });
    if (request.method === "POST" && url.pathname === "/e/") {
      for (const event of eventsIn(body)) take(event);
    }
    return Response.json({ status: "Ok" }, { headers: { "set-cookie": "tracker=1" } });
  });

  const ingest = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const url = new URL(request.url);
    if (url.pathname === "/readyz") {
      return Response.json({ status: "ready", durable: spooled > 0 ? "spool" : "log", spooled });
    }
    if (url.pathname === "/api/recent") {
      const partitions = [{ partition: 3, endOffset: offset }];
      const counts = { published: offset, spooled, spoolBytes: spooled * 512, refused: 0 };
      return Response.json({ recent, ...counts, topic: { at: new Date().toISOString(), partitions } });
    }
    if (url.pathname === "/unsubscribe") {
      unsubscribed.push({ method: request.method, search: url.search, body: await request.text() });
      return new Response("<!doctype html><title>Unsubscribe</title><p>Done.", {
        headers: {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": "default-src 'none'",
        },
      });
    }
    return new Response("", { status: 404 });
  });

  function dataset({ limit, before, after }: PageQuery): DatasetPage {
    const bytes = lines.reduce((sum, line) => sum + line.length + 1, 0);
    const all = (lines.length > 0 ? dates : []).map((date) => `${date}/${GENERATION_FAILED}`).sort()
      .reverse();
    const some = all.filter((key) => (before === null || key < before) && (after === null || key > after));
    const keys = after === null ? some.slice(0, limit) : some.slice(-limit);
    const placeholders = { EMAIL_ADDRESS: lines.filter((line) => line.includes("<EMAIL_ADDRESS>")).length };
    return {
      records: lines.length,
      bytes,
      files: all.length,
      sanitiserVersion: "test",
      partitions: keys.map((key) => ({
        event: GENERATION_FAILED,
        date: key.slice(0, 10),
        records: lines.length,
        bytes,
        files: 1,
        placeholders,
        paths: [FILE.replace("2026-01-01", key.slice(0, 10))],
      })),
      older: keys.at(-1) === all.at(-1) ? null : keys.at(-1)!,
      newer: keys[0] === all[0] ? null : keys[0]!,
    };
  }

  const fileBytes = () => new TextEncoder().encode(lines.map((line) => line + "\n").join(""));

  function linesOf({ file, lines: wanted, before, around }: LinesQuery): DatasetTail | null {
    if (file !== FILE || lines.length === 0) return null;
    const below = Math.min(before ?? (around === null ? Infinity : around + wanted / 2), lines.length + 1);
    const firstLine = Math.max(1, below - wanted);
    const { bytes } = dataset({ limit: 1, before: null, after: null });
    return { file, records: lines.length, bytes, lines: lines.slice(firstLine - 1, below - 1), firstLine };
  }

  function hitsOf(text: string): LineHits {
    const hits = lines.flatMap((line, n): LineHits["hits"] => {
      const { timestamp: at, input_prompt: prompt } = JSON.parse(line);
      const begin = prompt.indexOf(text);
      if (begin < 0) return [];
      const [before, after] = [prompt.slice(0, begin), prompt.slice(begin + text.length)];
      return [{ file: FILE, line: n + 1, at, field: "input_prompt", before, found: text, after }];
    });
    return { hits: hits.toReversed(), searchedBytes: fileBytes().length, next: null };
  }

  /** Goes on until it is held no more, or its reader leaves. */
  async function* piecesOf(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    exports.begun++;
    try {
      yield fileBytes();
      while (exports.held) {
        yield new Uint8Array(64 * 1024);
        if (exports.breaks) throw new DatasetReadError("somebody was erased");
      }
    } finally {
      exports.ended++;
    }
  }

  async function status(): Promise<PipelineStatus> {
    await deadLetters.list.catchUp();
    const byReason = deadLetters.list.byReason();
    const partitions = Array.from({ length: 6 }, (_, partition) => ({
      partition,
      nextOffset: partition === 3 ? offset : 0,
      endOffset: partition === 3 ? offset : 0,
      lag: 0,
      lagSeconds: 0,
      ...held.get(partition),
    }));
    const group = { topic: "posthog.webhooks", lag: 0, lagSeconds: 0, partitions };
    return {
      log: "embedded",
      groups: [{ group: "dataset-writer", ...group }, { group: "discount-offers", ...group }],
      dataset: { records: lines.length, bytes: 0, files: 1 },
      offers: { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 },
      deadLetters: { total: deadLetters.list.letters({ all: false }).length, byReason },
      mails: { accepted: mails.length, deferred: 0, refused: 0, unknown: 0 },
    };
  }

  /** The newest sent last in `mails`; its cursor is the number of those before it, the index of a person's for offers. */
  function listMails({ search, before, limit }: Parameters<StatusSources["mails"]>[0]): MailListing {
    const from = before === null ? 0 : Number(before.split("/")[0]);
    const found = mails.map((mail, rank) => ({ ...mail, rank })).filter(({ to, subject, rank }) =>
      rank >= from && `${to}\n${subject}`.toLowerCase().includes((search ?? "").trim().toLowerCase())
    );
    const page = found.slice(0, limit);
    const older = found.length > limit ? `${page.at(-1)!.rank + 1}/x` : null;
    return { mailer: "maildir", mails: page, total: mails.length, lookedAt: mails.length - from, older };
  }

  function listOffers({ state, search, before, limit }: OfferQuery): OfferListing {
    const all = [...offers].reverse().map(([id, offer]) => ({ id, offer }));
    const sizeOf = (state: string, reason?: string) =>
      all.filter(({ offer }) => offer.state === state && (reason ?? offer.reason) === offer.reason).length;
    const found = all.filter(({ id, offer }) =>
      (search ?? id) === id &&
      (state === "opted_out" ? offer.reason === state : (state ?? offer.state) === offer.state)
    );
    const from = before === null ? 0 : Number(before.split("-")[0]);
    return {
      counts: {
        counting: sizeOf("counting"),
        waiting: sizeOf("waiting"),
        sending: sizeOf("sending"),
        offered: sizeOf("offered"),
        failed: sizeOf("failed"),
        closed: sizeOf("closed"),
      },
      counting: Array.from({ length: THRESHOLD }, (_, i) => ({
        uses: i + 1,
        people: all.filter(({ offer }) => offer.state === "counting" && offer.uses === i + 1).length,
      })),
      closed: {
        opted_out: sizeOf("closed", "opted_out"),
        mailbox_rewarded: sizeOf("closed", "mailbox_rewarded"),
        state_lost: sizeOf("closed", "state_lost"),
      },
      failed: {
        refused: sizeOf("failed") - sizeOf("failed", "delivery_unknown"),
        attempts_exhausted: 0,
        delivery_unknown: sizeOf("failed", "delivery_unknown"),
      },
      threshold: THRESHOLD,
      total: found.length,
      offers: found.slice(from, from + limit).map(({ id, offer: { timeline, ...offer } }) => ({
        ...offer,
        person: `person-${id}`,
        changedAt: timeline.at(-1)?.at ?? null,
        ...(offer.distinctId === null ? { distinctIdWithheld: "personal" as const } : {}),
      })),
      older: found.length > from + limit ? `${from + limit}-0` : null,
      facts,
    };
  }

  let facts: OfferListing["facts"] = { applied: 7, end: 7 };
  let hasView = true;
  let mailSource = "";
  let processorLives = new AbortController();
  const startProcessor = (port: number) => {
    processorLives = new AbortController();
    return Deno.serve(
      { port, hostname: "127.0.0.1", onListen: () => {}, signal: processorLives.signal },
      createStatusApi({
        hub: {
          add: hub.add,
          forget: hub.forget,
          startFor: (lastEventId) => hub.startFor(lastEventId),
          read: (number) => hub.read(number),
          changed: (signal) => hub.changed(signal),
          join() {
            const leave = hub.join();
            if (leave === null) return null;
            const listener = Symbol();
            listeners.add(listener);
            return () => {
              leave();
              listeners.delete(listener);
            };
          },
        },
        notReady: () => [],
        staysOut: () => [],
        standing: () => [],
        warnings: () => [],
        status,
        consumers: () => {
          const consumers = [{
            name: "dataset-writer",
            own: true,
            host: null,
            partitions: [0, 1, 2, 3, 4, 5],
          }];
          return Promise.resolve({ groups: [{ group: "dataset-writer", complete: true, consumers }] });
        },
        figures: () => Promise.resolve(figures),
        eventOf: (uuid, { withRaw }) => {
          const detail = details.get(uuid);
          if (!detail) return Promise.resolve({ lookedAt: { partitions: [], facts: null } });
          const deliveries = detail.deliveries.map(({ raw, ...one }) =>
            withRaw && raw ? { ...one, raw } : one
          );
          return Promise.resolve({ ...detail, deliveries });
        },
        offers: (query) => Promise.resolve(hasView ? listOffers(query) : null),
        offerOf: (id) => Promise.resolve(offers.get(id) ?? null),
        codeIsValid: () => false,
        dataset: datasetApi({
          page: (query) => Promise.resolve().then(() => dataset(query)),
          lines: (query) => Promise.resolve(linesOf(query)),
          search: (text, from) => {
            searched.push({ text, from });
            return Promise.resolve(searching ?? hitsOf(text));
          },
          file: (path) =>
            Promise.resolve(
              path === FILE && lines.length > 0 ? { bytes: fileBytes().length, blocks: piecesOf() } : null,
            ),
          export: () => piecesOf(),
        }),
        mails: (query) => Promise.resolve(listMails(query)),
        mailSource: (id) => {
          const mail = mails.find(({ messageId }) => messageId === id);
          if (mail === undefined) return null;
          const isSent = id === MESSAGE_ID && mailSource !== "";
          return new TextEncoder().encode(
            isSent ? mailSource : mailText({ to: mail.to, html: "<p>hello</p>" }),
          );
        },
        deadLetters: deadLetterApi({ letters: deadLetters.letters, showsRaw }),
        metrics: () => Promise.resolve(""),
        showsRaw,
        console: { publicHost: "localhost", allowedHosts: [], password, anonymous: false },
        clock: systemClock,
      }).fetch,
    );
  };
  let processor = startProcessor(0);
  const processorPort = processor.addr.port;

  return {
    environment: {
      POSTHOG_HOST: `http://127.0.0.1:${posthog.addr.port}`,
      POSTHOG_KEY: "phc_test",
      INGEST_URL: `http://127.0.0.1:${ingest.addr.port}`,
      PROCESSOR_URL: `http://127.0.0.1:${processorPort}`,
    },
    captured,
    deadLetters,
    details,
    givenUp,
    recent,
    held,
    unsubscribed,
    lines,
    dates,
    offers,
    show: (next: Figures) => figures = next,
    searched,
    answerOfSearch: (answer: LineHits | "busy" | null) => searching = answer,
    exports,
    /** Who hears the processor's events now. */
    listeners: () => listeners.size,
    /** Emits steps as the processor does. */
    add: (steps: readonly TraceStep[]) => hub.add(steps),
    take,
    spool: (count: number) => spooled = count,
    answerOfPosthog: (status: number) => posthogStatus = status,
    /** The wait is over: the mail goes out. */
    sendMail({ to, html }: { to: string; html: string }): void {
      const at = new Date().toISOString();
      const [distinctId, offer] = [...offers].find(([, offer]) => offer.state === "waiting")!;
      mailSource = mailText({ to, html });
      Object.assign(offer, { state: "offered", sentAt: at, code: "SAVE-20", messageId: MESSAGE_ID });
      offer.timeline.push({ at, what: "mail accepted" });
      addMail({ to });
      hub.add([{
        step: "mail",
        offer: "3:0",
        distinctId,
        outcome: "accepted",
        words: "written",
        messageId: MESSAGE_ID,
        nextAttemptAt: null,
        at,
      }]);
    },
    /** A mail that was sent, of which nothing but the list tells. */
    addMail,
    /** As at the beginning, for what the pages of mails and offers show. */
    forgetMailsAndOffers(): void {
      mails.length = 0;
      offers.clear();
      this.view({ applied: 7, end: 7 });
    },
    /** How far the view of the offers is; false: there is none yet. */
    view(now: OfferListing["facts"] | false): void {
      hasView = now !== false;
      if (now !== false) facts = now;
    },
    /** At once, whoever listens. */
    async stopProcessor(): Promise<void> {
      processorLives.abort();
      await processor.finished;
    },
    /** On the same port, with the trace of a new run, which remembers nothing of the first. */
    restartProcessor(): void {
      hub = createTraceHub("second");
      processor = startProcessor(processorPort);
    },
    async stop(): Promise<void> {
      processorLives.abort();
      await Promise.all([posthog.shutdown(), ingest.shutdown(), processor.finished]);
    },
  };
}

/** As of a processor that has just begun, on an empty dataset. */
export function noFigures(): Figures {
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  return {
    minutes: Array.from({ length: 61 }, (_, i) => ({
      at: new Date(minute - (60 - i) * 60_000).toISOString(),
      records: 0,
      lagSeconds: { "dataset-writer": null, "discount-offers": null },
    })),
    latency: { count: 0, p50Ms: null, p99Ms: null, buckets: [] },
    days: [],
    reasons: [],
    otherReasons: 0,
    promptLengths: [],
    uncounted: 0,
  };
}

function eventsIn(body: Uint8Array): Event[] {
  const text = body[0] === 0x1f && body[1] === 0x8b
    ? gunzipSync(body).toString()
    : new TextDecoder().decode(body);
  return JSON.parse(text).batch;
}

function sanitised(text: string): string {
  return text.replaceAll("+44 7911 123456", "<PHONE_NUMBER>").replace(/[\w.]+@[\w.]+\w/g, "<EMAIL_ADDRESS>");
}

function mailText({ to, html }: { to: string; html: string }): string {
  return [
    "From: Pipeline <offers@pipeline.test>",
    `To: ${to}`,
    "Subject: Your discount code: SAVE-20",
    `Message-ID: <${MESSAGE_ID}>`,
    "Date: Thu, 01 Jan 2026 12:00:00 +0000",
    "MIME-Version: 1.0",
    'Content-Type: multipart/alternative; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "Your discount code: SAVE-20",
    "--b",
    "Content-Type: text/html; charset=utf-8",
    "",
    html,
    "--b--",
    "",
  ].join("\r\n");
}
