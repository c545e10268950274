import { outsideSpans } from "../../runtime/telemetry/tracing.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { DeliveryEnd, DeliveryQueue, Invocation, OwedDelivery } from "./delivery_queue.ts";
import { signatureHeaders } from "./webhook_signature.ts";

/**
 * Delivers webhooks as PostHog's HTTP Webhook destination does: one POST per event, in no promised order, 3 attempts in
 * total about 1.5 s and 2.5 s apart, a limit of 3 s around each whole request, redirects never followed.
 *
 * On purpose it can also repeat, reorder and drop, as the real one does now and then. Not imitated: the immediate
 * resend on a stale keep-alive socket, the watcher that slows or disables a bad endpoint, rate limits, and that a
 * delivery interrupted by a restart has used up attempts (here it begins anew, with the same `webhook-id`).
 */

/** Where and how deliveries go. */
export type WebhookTarget = {
  readonly url: string;
  /** Sent as `Authorization: Bearer …`; null for none. */
  readonly staticSecret: string | null;
  /** Key of the Standard Webhooks signature; null for unsigned. */
  readonly signingKey: Uint8Array | null;
};

/** How often a delivery is disturbed, each from 0 (never) to 1 (always). */
export type Disturbance = {
  /** Delivered once more, under another `webhook-id`, as after a rebalance inside PostHog. */
  readonly duplicate: number;
  /** Held back up to {@link HELD_BACK_MS_MAX}, so that later ones overtake it. */
  readonly reorder: number;
  /** Never sent at all, as over a quota. */
  readonly drop: number;
};

/** What of the deliveries is switched now. */
export type Switched = Disturbance & {
  /** ISO 8601; null: not paused. */
  readonly pausedUntil: string | null;
};

/** One delivery that will not be tried again. No personal data, no secret. */
export type FailedDelivery = {
  readonly at: string;
  readonly uuid: string;
  readonly event: string;
  readonly attempts: number;
  readonly words: string;
};

/** What `GET /api/deliveries` answers. `delivered`, `failed` and `dropped` count over all starts on one DATA_DIR. */
export type DeliveryStatus = {
  readonly url: string;
  readonly delivered: number;
  readonly failed: number;
  readonly dropped: number;
  /** Of the delivered those whose event had been delivered before. */
  readonly repeated: number;
  /** Attempts after a first one, since this start. */
  readonly retried: number;
  readonly inFlight: number;
  /** Owed and not in flight: in line, or between two attempts. */
  readonly waiting: number;
  /** The newest {@link ERRORS_KEPT} deliveries that failed for good, newest first. */
  readonly lastErrors: readonly FailedDelivery[];
  readonly switched: Switched;
};

export type Deliveries = {
  /** False where as many more would not fit: PostHog would answer 503 then. */
  hasRoomFor(count: number): boolean;
  /** Stores invocations inside the transaction that the caller has begun; {@link begin} sends what it answers. */
  owe(invocations: readonly Invocation[]): readonly OwedDelivery[];
  begin(owed: readonly OwedDelivery[]): void;
  status(): DeliveryStatus;
  /** How deliveries that begin from now on are disturbed; a share that is left out stays as it is. */
  disturb(shares: Partial<Disturbance>): void;
  /** Begins no attempt for so many ms, 0 ends a pause; one that is in flight ends as it does. */
  pause(ms: number): void;
  /** Resolves once nothing is owed any more. */
  settled(): Promise<void>;
  /** Begins no attempt any more, waits for those in flight; what is still owed stays on disk for the next start. */
  stop(): Promise<void>;
};

export type DeliveryLimits = {
  /** Webhooks under way at one time. */
  readonly inFlightMax: number;
  /** Deliveries owed, and bytes of them: beyond either, a capture is answered 503 and the client tries again. */
  readonly owedMax: number;
  readonly owedBytesMax: number;
};

export type DeliveriesOptions = DeliveryLimits & {
  readonly target: WebhookTarget;
  readonly disturbance: Disturbance;
  readonly queue: DeliveryQueue;
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly newId: () => string;
  readonly onFailure: (failure: FailedDelivery) => void;
};

/** Attempts of one delivery in total. */
export const ATTEMPTS_MAX = 3;
/** Around DNS, connection, request and the whole answer, in ms. */
export const REQUEST_MS_MAX = 3_000;
/** Longest that a reordered delivery is held back, in ms. */
export const HELD_BACK_MS_MAX = 3_000;
const RETRY_DELAY_MS_MAX = 30_000;
const RETRIABLE: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const ERRORS_KEPT = 50;
/** An answer is only logged by PostHog; more than this of it is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;

type AttemptOutcome =
  | { readonly is: "delivered" }
  | { readonly is: "failed"; readonly retriable: boolean; readonly serverAnswer: string };

/** How long PostHog waits after the attempt of this number, in ms: its rule, and so not the back-off of `runtime/retry.ts`. */
export function retryDelayMs(attempt: number, random: () => number): number {
  return Math.min(RETRY_DELAY_MS_MAX, 1000 * attempt + random() * 1000);
}

/** What an answer's status means: below 300 delivered, a redirect fails, few others are worth another attempt. */
export function outcomeOfStatus(status: number): AttemptOutcome {
  if (status < 300) return { is: "delivered" };
  return { is: "failed", retriable: RETRIABLE.has(status), serverAnswer: `answered ${status}` };
}

/** Builds the delivery engine; it sends nothing before {@link Deliveries.begin}. */
export function createDeliveries(options: DeliveriesOptions): Deliveries {
  const { queue, clock, random } = options;
  let disturbance = options.disturbance;
  /** By the clock's monotonic time. */
  let pausedUntil = -Infinity;
  const stopping = new AbortController();
  const ready: OwedDelivery[] = [];
  const running = new Set<Promise<void>>();
  const errors: FailedDelivery[] = [];
  let retried = 0;
  const attempts = new Map<number, number>();
  const owed = { deliveries: 0, bytes: 0 };
  let onSettled: (() => void)[] = [];

  function owe(invocations: readonly Invocation[]): readonly OwedDelivery[] {
    return invocations.flatMap((invocation) => {
      const times = random() < disturbance.duplicate ? 2 : 1;
      return Array.from({ length: times }, () => queue.add(invocation, options.newId()));
    });
  }

  function begin(deliveries: readonly OwedDelivery[]): void {
    for (const delivery of deliveries) {
      owed.deliveries++;
      owed.bytes += delivery.bytes;
      if (random() < disturbance.drop) done(delivery, "dropped");
      else if (random() < disturbance.reorder) later(delivery, random() * HELD_BACK_MS_MAX);
      else ready.push(delivery);
    }
    pump();
    notifyIfSettled();
  }

  /** Starts as many attempts as may be in flight; called whenever one becomes ready or one ends. */
  function pump(): void {
    if (clock.monotonic() < pausedUntil) return;
    while (running.size < options.inFlightMax && ready.length > 0 && !stopping.signal.aborted) {
      const run = attempt(ready.shift()!).finally(() => {
        running.delete(run);
        pump();
        notifyIfSettled();
      });
      running.add(run);
    }
  }

  async function attempt(delivery: OwedDelivery): Promise<void> {
    const number = (attempts.get(delivery.id) ?? 0) + 1;
    const outcome = await outsideSpans(() => post(queue.body(delivery.id), delivery.webhookId, options));
    if (outcome.is === "delivered") return done(delivery, "delivered");
    if (outcome.retriable && number < ATTEMPTS_MAX) {
      retried++;
      attempts.set(delivery.id, number);
      return later(delivery, retryDelayMs(number, random));
    }
    done(delivery, "failed");
    note(delivery, { attempts: number, words: outcome.serverAnswer });
  }

  function later(delivery: OwedDelivery, ms: number): void {
    void clock.wait(ms, stopping.signal).then(() => {
      ready.push(delivery);
      pump();
    });
  }

  function pause(ms: number): void {
    const until = pausedUntil = clock.monotonic() + ms;
    void clock.wait(ms, stopping.signal).then(() => {
      if (pausedUntil === until) pausedUntil = -Infinity;
      pump();
    });
  }

  function switched(): Switched {
    const left = pausedUntil - clock.monotonic();
    const at = left > 0 ? new Date(clock.now() + left).toISOString() : null;
    return { ...disturbance, pausedUntil: at };
  }

  function done(delivery: OwedDelivery, as: DeliveryEnd): void {
    attempts.delete(delivery.id);
    queue.end(delivery.id, as);
    owed.deliveries--;
    owed.bytes -= delivery.bytes;
  }

  function notifyIfSettled(): void {
    if (owed.deliveries > 0 || running.size > 0) return;
    for (const notify of onSettled) notify();
    onSettled = [];
  }

  function note(delivery: OwedDelivery, failure: { attempts: number; words: string }): void {
    const { uuid, event } = delivery;
    const failed = { at: new Date(clock.now()).toISOString(), uuid, event, ...failure };
    errors.unshift(failed);
    errors.length = Math.min(errors.length, ERRORS_KEPT);
    options.onFailure(failed);
  }

  return {
    owe,
    begin,
    hasRoomFor: (more) => owed.deliveries + more <= options.owedMax && owed.bytes <= options.owedBytesMax,
    status: () => ({
      url: options.target.url,
      ...queue.ended(),
      retried,
      inFlight: running.size,
      waiting: Math.max(0, owed.deliveries - running.size),
      lastErrors: [...errors],
      switched: switched(),
    }),
    disturb: (shares) => disturbance = { ...disturbance, ...shares },
    pause,
    settled: () =>
      new Promise((resolve) => {
        onSettled.push(resolve);
        notifyIfSettled();
      }),
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/** One attempt: signed anew, cut off after {@link REQUEST_MS_MAX}, its answer read to the end. */
async function post(
  body: Uint8Array,
  webhookId: string,
  { target, clock, fetch }: DeliveriesOptions,
): Promise<AttemptOutcome> {
  const limit = new AbortController();
  const over = new AbortController();
  void clock.wait(REQUEST_MS_MAX, over.signal).then(() => {
    if (!over.signal.aborted) limit.abort();
  });
  try {
    const response = await fetch(target.url, {
      method: "POST",
      body: body as Uint8Array<ArrayBuffer>,
      headers: headersOf(body, webhookId, { target, at: clock.now() }),
      redirect: "manual",
      signal: limit.signal,
    });
    // A body whose request is aborted does not always say so to who reads it (Deno 2.9), hence the race.
    const late = new Promise<never>((_, reject) => limit.signal.addEventListener("abort", reject));
    const reader = response.body?.getReader();
    await Promise.race([late, readToTheEnd(reader)]).finally(() => reader?.cancel().catch(() => {}));
    return outcomeOfStatus(response.status);
  } catch (error) {
    const message = limit.signal.aborted ? `no answer within ${REQUEST_MS_MAX} ms` : networkMessage(error);
    return { is: "failed", retriable: true, serverAnswer: message };
  } finally {
    over.abort();
  }
}

function headersOf(
  body: Uint8Array,
  webhookId: string,
  { target, at }: { target: WebhookTarget; at: number },
): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(target.staticSecret === null ? {} : { authorization: `Bearer ${target.staticSecret}` }),
    ...(target.signingKey === null
      ? {}
      : signatureHeaders(body, { key: target.signingKey, id: webhookId, at })),
  };
}

/** So that the connection can be used again; an answer that goes on and on is not waited for. */
async function readToTheEnd(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<void> {
  for (let bytes = 0; reader && bytes <= ANSWER_BYTES_MAX;) {
    const { value, done } = await reader.read();
    if (done) return;
    bytes += value.length;
  }
}

/** Deno's words repeat the whole address, which may hold a password. */
function networkMessage(error: unknown): string {
  const code = (error as { cause?: { code?: string } }).cause?.code ?? (error as { code?: string }).code;
  return code === undefined ? "no connection" : `no connection (${code})`;
}
