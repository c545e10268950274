import { randomBytes, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import { Hono } from "hono";
import { passwordHeaders } from "../contract/door.ts";
import type { PipelineStatus } from "../contract/processor_api.ts";
import type { Clock } from "../runtime/clock.ts";
import { listen } from "../runtime/listen.ts";
import type { Mailbox } from "./mailbox.ts";
import {
  begunWords,
  type Episode,
  episodeWords,
  type Figures,
  type Reading,
  type Recent,
  type Standing,
  type Switch,
  SWITCHES,
  Tally,
  totalWords,
} from "./proof.ts";
import type { ServicesControl } from "./services.ts";
import type { DeliveryStatus } from "./stand_in/deliveries.ts";
import { brokenEvent, sendAsPosthogJs } from "./traffic.ts";

/**
 * What web asks for its panel "Break something": the switches, and the proof. It runs in the demo's own process, so that it
 * outlives every service that it kills, and listens on loopback for who has its token.
 */
export type DemoControl = {
  readonly url: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token: string;
  stop(): Promise<void>;
};

/** `GET /proof`. */
export type Proof = Figures & {
  /** Everything durable is a line, a dead letter, a repeat or counted, and nothing is on its way. */
  readonly agree: boolean;
  readonly words: string;
  readonly switches: Readonly<Record<Switch, boolean>>;
};

export type ControlOptions = {
  readonly urls: { readonly standIn: string; readonly ingest: string; readonly processor: string };
  readonly posthogKey: string;
  readonly consolePassword: string | null;
  /** Shares of disturbed deliveries that the environment sets: what a switch goes back to. */
  readonly shares: { readonly duplicate: number; readonly reorder: number; readonly drop: number };
  /** Null before the services have been begun. */
  readonly services: () => ServicesControl | null;
  /** Null where mail goes to a server of the environment's own. */
  readonly mailbox: Mailbox | null;
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
};

const PAUSE_MS = 10_000;
/** Of all deliveries, while a share is dropped. */
const DROPPED_SHARE = 0.3;
const ANSWER_MS_MAX = 2_000;
/** Ms for which a look serves everybody, and between two looks while something is broken. */
const LOOK_MS = 250;
/** An episode is watched no longer than this, ms; it is looked at again whenever somebody asks. */
const WATCH_MS_MAX = 600_000;
const BODY_BYTES_MAX = 1_000;

/** Listens on loopback, on any free port. */
export function startControl(options: ControlOptions): DemoControl {
  const token = randomBytes(24).toString("base64url");
  const watch = new Watch(options);
  const app = new Hono();
  app.use(async (c, next) => {
    const given = Buffer.from(c.req.header("authorization") ?? "");
    const wanted = Buffer.from(`Bearer ${token}`);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return c.body(null, 401);
    return await next();
  });
  app.get("/proof", async (c) => c.json(await watch.proof()));
  app.post("/break/:switch", async (c) => {
    const what = SWITCHES.find((name) => name === c.req.param("switch"));
    if (what === undefined) {
      return c.json(problem("not_found", `There is no such switch: ${SWITCHES.join(", ")}.`), 404);
    }
    const text = await c.req.text();
    const on = text.length <= BODY_BYTES_MAX ? readOn(text) : null;
    if (on === null) return c.json(problem("bad_request", 'Expected {"on":true} or {"on":false}.'), 400);
    const why = await watch.throw(what, on);
    return why === null ? c.json({ switch: what, on }) : c.json(problem("not_now", why), 409);
  });
  app.onError((error, c) => c.json(problem("unavailable", error.message), 503));
  const { server, url } = listen((request) => app.fetch(request), {
    host: "127.0.0.1",
    port: 0,
    portSetting: "nothing",
  });
  return {
    url,
    token,
    async stop() {
      watch.stop();
      server.abort();
      await server.shutdown();
    },
  };
}

/** Null where the body is neither empty nor an order. */
function readOn(text: string): boolean | null {
  if (text === "") return true;
  try {
    const { on = true } = JSON.parse(text);
    return typeof on === "boolean" ? on : null;
  } catch {
    return null;
  }
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}

/** Looks at the services, folds what they say, and remembers what was broken last. */
class Watch {
  readonly #tally = new Tally();
  readonly #stop = new AbortController();
  readonly #seen = new Map<keyof Reading, number>();
  #look: { readonly at: number; readonly found: Promise<Look> } | null = null;
  #episode: Episode | null = null;
  /** When the episode began, by the monotonic clock. */
  #since = 0;
  /** All has agreed since it was over: what does not agree now has nothing to do with it. */
  #isSettled = false;
  #watching: Promise<void> = Promise.resolve();
  #broken = 0;
  /** What the stand-in has delivered, repeats too, and since when it says so. */
  #delivered = { count: -1, at: 0 };

  constructor(private readonly options: ControlOptions) {}

  stop(): void {
    this.#stop.abort();
  }

  async proof(): Promise<Proof> {
    const look = await this.#lookNow();
    const { standing } = look;
    const agree = isAgreed(look);
    return {
      ...standing.figures,
      agree,
      words: this.#words(look, agree),
      switches: this.#switches(look.reading),
    };
  }

  /** Does it; why not, where it cannot be done now. */
  async throw(what: Switch, on: boolean): Promise<string | null> {
    const { options } = this;
    const { standing } = await this.#lookNow(true);
    if (what === "kill-processor" || what === "kill-ingest") {
      const name = what.slice("kill-".length);
      if (!options.services()?.kill(name)) return `${name} does not run now: it is being started again.`;
    } else if (what === "mail-refuses") {
      if (options.mailbox === null) {
        return "SMTP_URL names a mail server that is not the demo's: ask that one.";
      }
      options.mailbox.refuses = on;
    } else if (what === "send-broken") {
      const { urls: { standIn }, posthogKey: key, clock, fetch } = options;
      const now = clock.now();
      await sendAsPosthogJs([brokenEvent(this.#broken++, { now, key })], {
        posthogUrl: standIn,
        key,
        fetch,
        now,
      });
    } else await this.#order(what, on);
    if (on) {
      this.#episode = { what, from: standing.figures, until: null };
      this.#isSettled = false;
      this.#since = options.clock.monotonic();
    }
    await this.#lookNow(true);
    this.#watching = this.#watching.then(() => this.#watch());
    return null;
  }

  async #order(what: Switch, on: boolean): Promise<void> {
    const { shares, urls, fetch } = this.options;
    const orders: Partial<Record<Switch, unknown>> = {
      "pause-deliveries": { pauseMs: on ? PAUSE_MS : 0 },
      "deliver-twice": { duplicate: on ? 1 : shares.duplicate },
      "out-of-order": { reorder: on ? 1 : shares.reorder },
      "drop-deliveries": { drop: on ? DROPPED_SHARE : shares.drop },
    };
    const response = await fetch(`${urls.standIn}/api/switches`, {
      method: "POST",
      body: JSON.stringify(orders[what]),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const words = await response.text();
    if (!response.ok) throw new Error(`Cannot switch the stand-in: it answered ${response.status} ${words}.`);
  }

  /** Until what was broken is whole again and all agrees, so that its figures are those of that moment. */
  async #watch(): Promise<void> {
    const { clock } = this.options;
    for (const end = clock.monotonic() + WATCH_MS_MAX; clock.monotonic() < end;) {
      if (this.#stop.signal.aborted) return;
      const { standing } = await this.#lookNow(true);
      if (this.#episode?.until && standing.isQuiet) return;
      await clock.wait(LOOK_MS, this.#stop.signal);
    }
  }

  #words({ standing, away }: Look, agree: boolean): string {
    const episode = this.#episode;
    if (agree) return episode ? episodeWords(episode, standing) : totalWords(standing);
    const now = [...away, ...standing.differs].join(", ") || "not all has been read yet";
    if (episode === null || this.#isSettled) return `Not yet: ${now}`;
    const seconds = Math.round((this.options.clock.monotonic() - this.#since) / 1000);
    return `${begunWords(episode, standing, seconds)}. Not yet: ${now}`;
  }

  #switches({ standIn }: Reading): Proof["switches"] {
    const { services, mailbox } = this.options;
    const switched = standIn?.switched;
    const dead = (name: string) => !(services()?.isReady(name) ?? false);
    return {
      "kill-processor": dead("processor"),
      "kill-ingest": dead("ingest"),
      "pause-deliveries": (switched?.pausedUntil ?? null) !== null,
      "deliver-twice": switched?.duplicate === 1,
      "out-of-order": switched?.reorder === 1,
      "drop-deliveries": switched?.drop === DROPPED_SHARE,
      "mail-refuses": mailbox?.refuses ?? false,
      "send-broken": false,
    };
  }

  #lookNow(anew = false): Promise<Look> {
    const at = this.options.clock.monotonic();
    if (anew || this.#look === null || at - this.#look.at > LOOK_MS) {
      // One after another: a look that ended later must not be followed by one with earlier figures.
      this.#look = { at, found: Promise.allSettled([this.#look?.found]).then(() => this.#read()) };
    }
    return this.#look.found;
  }

  /** In the order in which data flows, and its source once more: what moves meanwhile is seen to move. */
  async #read(): Promise<Look> {
    const { urls } = this.options;
    const first = this.#noted(await this.#ask<DeliveryStatus>(`${urls.standIn}/api/deliveries`));
    const password = passwordHeaders(this.options.consolePassword);
    const ingest = await this.#ask<Recent>(`${urls.ingest}/api/recent`, password);
    const processor = await this.#ask<PipelineStatus>(`${urls.processor}/api/status`, password);
    const standIn = this.#noted(await this.#ask<DeliveryStatus>(`${urls.standIn}/api/deliveries`));
    const reading = { standIn, ingest, processor };
    // Ends of the topic that were asked before the stand-in's last delivery say nothing of it: it is not lost.
    const isOld = ingest !== null && !(Date.parse(ingest.topic.at ?? "") >= this.#delivered.at);
    const isMoving = isOld || first?.delivered !== standIn?.delivered || first?.dropped !== standIn?.dropped;
    const standing = this.#tally.add(reading, { isMoving });
    const look = { reading, standing, away: this.#away(reading) };
    const isWhole = this.#episode && !this.#switches(reading)[this.#episode.what];
    if (isWhole && this.#episode!.until === null) {
      this.#episode = { ...this.#episode!, until: standing.figures };
    }
    if (this.#episode?.until && isAgreed(look)) this.#isSettled = true;
    return look;
  }

  #noted(standIn: DeliveryStatus | null): DeliveryStatus | null {
    const count = standIn === null ? this.#delivered.count : standIn.delivered + standIn.repeated;
    if (count !== this.#delivered.count) this.#delivered = { count, at: this.options.clock.now() };
    return standIn;
  }

  #away(reading: Reading): readonly string[] {
    const now = this.options.clock.monotonic();
    const names = { standIn: "the stand-in", ingest: "ingest", processor: "the processor" } as const;
    return (Object.keys(names) as (keyof Reading)[]).flatMap((name) => {
      if (reading[name] !== null) {
        this.#seen.set(name, now);
        return [];
      }
      const seen = this.#seen.get(name);
      const when = seen === undefined ? "not seen yet" : `last seen ${Math.round((now - seen) / 1000)} s ago`;
      return [`${names[name]} is away, ${when}`];
    });
  }

  async #ask<T>(url: string, headers: Record<string, string> = {}): Promise<T | null> {
    const { fetch } = this.options;
    try {
      const response = await fetch(url, {
        headers,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        redirect: "manual",
      });
      if (response.ok) return await response.json() as T;
      await response.body?.cancel();
    } catch {
      // Away, which is an answer too.
    }
    return null;
  }
}

type Look = { readonly reading: Reading; readonly standing: Standing; readonly away: readonly string[] };

function isAgreed({ standing, away }: Look): boolean {
  return away.length === 0 && standing.isQuiet && standing.differs.length === 0;
}
