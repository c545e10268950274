import { gzipSync } from "node:zlib";
import { createEmailProofs, EMAIL_PROOF, type EmailProofs } from "../contract/email_proof.ts";
import { FEATURE_USED, GENERATION_FAILED } from "../contract/product_events.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { uuidV5 } from "./stand_in/uuid_v5.ts";
import { logError } from "../runtime/printable.ts";

/**
 * Fictional people and what they do: the sample of the demo's first start, and as much traffic of the same kind as
 * wanted. Sent as posthog-js sends it: its batch envelope, gzip, as text/plain.
 *
 * Addresses lie under example.org, .com and .net, telephone numbers in ranges kept for fiction.
 */

/** One event inside posthog-js's envelope. */
export type ClientEvent = {
  readonly uuid: string;
  readonly event: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly timestamp: string;
};

export type SendOptions = {
  /** PostHog's address. */
  readonly posthogUrl: string;
  readonly key: string;
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds since 1970: when it is sent. */
  readonly now: number;
};

type SampleUser = {
  readonly name: string;
  readonly email: string;
  readonly phone: string;
  /** In the order in which they happened. */
  readonly did: readonly SampleAct[];
};
type SampleAct =
  | { readonly used: string }
  | { readonly failed: string; readonly reason: string };

/** Namespace of the sample's ids: fixed, so that a sample sent twice is the same events. */
const NAMESPACE = "5f0d4a3e-7c1b-4f57-9a8e-2d6c0b9e1f43";
/** Milliseconds between two acts of the sample, and from its last one to now. */
const ACT_MS = 7_000;

/** A key that looks real stands in no file: it would set off every scanner. */
const FICTIONAL_KEY = ["AKIA", "IOSFODNN7", "EXAMPLE"].join("");

const SAMPLE: readonly SampleUser[] = [
  {
    name: "Grace Okafor",
    email: "grace.okafor@example.org",
    phone: "+44 7700 900123",
    did: [
      { used: "summarise" },
      { used: "translate" },
      {
        failed: "Write a follow-up to grace.okafor@example.org and her colleague tom@example.net, " +
          "or call +44 7700 900123 if the mail bounces.",
        reason: "timeout",
      },
      { used: "summarise" },
      { used: "rewrite" },
      { used: "outline" },
    ],
  },
  {
    name: "Jonas Weber",
    email: "jonas.weber@example.com",
    phone: "(415) 555-0132",
    did: [
      {
        failed: "Draft a refund letter: card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, " +
          "telephone (415) 555-0132.",
        reason: "content_filter",
      },
      { used: "rewrite" },
      { used: "rewrite" },
    ],
  },
  {
    name: "Mei Tanaka",
    email: "mei.tanaka@example.net",
    phone: "+1 202-555-0143",
    did: [
      {
        failed:
          `Why does this fail? curl https://deploy:hunter2@ci.example.com/build -H "X-Key: ${FICTIONAL_KEY}"`,
        reason: "rate limited for mei.tanaka@example.net",
      },
      { failed: "Summarise our release notes in three sentences.", reason: "model_overloaded" },
    ],
  },
  {
    name: "Amara Silva",
    email: "amara.silva@example.org",
    phone: "555-0199",
    did: [{ used: "translate" }, { failed: "generate a marketing email for new users", reason: "timeout" }],
  },
];

/** The sample, oldest event first, its last one just before `now`. The first user has five uses and an address. */
export function sampleEvents(
  { now, key, proofs = null }: { now: number; key: string; proofs?: EmailProofs | null },
): ClientEvent[] {
  const steps = SAMPLE.flatMap((user) => [null, ...user.did].map((act) => ({ user, act })));
  return steps.map(({ user, act }, index) => {
    const id = (what: string) => uuidV5(`${user.email}/${what}`, { namespace: NAMESPACE });
    const timestamp = new Date(now - (steps.length - index) * ACT_MS).toISOString();
    const common = { distinct_id: id("user"), token: key, $lib: "web" };
    if (act !== null) return { uuid: id(`act ${index}`), timestamp, ...eventOf(act, common) };
    const { name, email, phone } = user;
    const anonymous = id("anonymous");
    const proof = (said: string) => proofs && { [EMAIL_PROOF]: proofs.make(common.distinct_id, said) };
    const $set = { email, ...proof(email), name, phone };
    const properties = { ...common, $anon_distinct_id: anonymous, ...proof(anonymous), $set };
    return { uuid: id("identify"), event: "$identify", properties, timestamp };
  });
}

function eventOf(act: SampleAct, common: Readonly<Record<string, unknown>>) {
  if ("used" in act) return { event: FEATURE_USED, properties: { ...common, feature: act.used } };
  const properties = { ...common, input_prompt: act.failed, failure_reason: act.reason };
  return { event: GENERATION_FAILED, properties };
}

/**
 * Endless traffic: event `index` of a run over `users` people; the same arguments but for the time give the same event.
 * Every tenth is an identification, of the rest two thirds are uses.
 */
export function trafficEvent(
  index: number,
  { run, users, now, key, proofs = null }: {
    run: string;
    users: number;
    now: number;
    key: string;
    proofs?: EmailProofs | null;
  },
): ClientEvent {
  const id = (what: string) => uuidV5(`${run}/${what}`, { namespace: NAMESPACE });
  const user = Math.imul(index, 2654435761) >>> 0;
  const number = user % users;
  const like = SAMPLE[number % SAMPLE.length]!;
  const common = { distinct_id: id(`user ${number}`), token: key, $lib: "web" };
  const event = { uuid: id(`event ${index}`), timestamp: new Date(now).toISOString() };
  if (index % 10 === 0) {
    const email = like.email.replace("@", `.${number}@`);
    const proof = proofs && { [EMAIL_PROOF]: proofs.make(common.distinct_id, email) };
    return {
      ...event,
      event: "$identify",
      properties: { ...common, $set: { email, ...proof, name: like.name } },
    };
  }
  if (index % 3 !== 0) return { ...event, ...eventOf({ used: "summarise" }, common) };
  const prompt = `Call ${like.name} on ${like.phone} about order ${index}, or write to ${like.email}.`;
  return { ...event, ...eventOf({ failed: prompt, reason: "timeout" }, common) };
}

/** An event that the pipeline has to set aside: every third of another kind. All of them are one fictional person's. */
export function brokenEvent(index: number, { now, key }: { now: number; key: string }): ClientEvent {
  const broken = [{}, { input_prompt: 42 }, { input_prompt: { text: "no text" } }];
  return {
    uuid: crypto.randomUUID(),
    event: GENERATION_FAILED,
    timestamp: new Date(now).toISOString(),
    properties: {
      distinct_id: uuidV5("broken", { namespace: NAMESPACE }),
      token: key,
      $lib: "web",
      failure_reason: "broken on purpose",
      ...broken[index % broken.length],
    },
  };
}

/** Sends events as posthog-js does; throws where PostHog does not answer 200. */
export async function sendAsPosthogJs(events: readonly ClientEvent[], options: SendOptions): Promise<void> {
  const envelope = { api_key: options.key, batch: events, sent_at: new Date(options.now).toISOString() };
  const response = await options.fetch(`${options.posthogUrl}/i/v0/e/`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: gzipSync(JSON.stringify(envelope)) as Uint8Array<ArrayBuffer>,
  });
  const message = await response.text();
  if (response.status !== 200) {
    throw new Error(`Cannot send events to ${options.posthogUrl}: answered ${response.status} ${message}`);
  }
}

const HELP = `Sends fictional traffic to PostHog or its stand-in, as posthog-js does.

Usage: deno run -A demo/traffic.ts [--posthog http://127.0.0.1:8010] [--key phc_demo] [--events 100] [--users 20]
       [--per-second 20]

With IDENTITY_SECRET in the environment its addresses are proven. The demo's lies in DATA_DIR/identity.secret.`;
/** Events that one invocation may send; more is a load test of PostHog. */
const EVENTS_MAX = 1_000_000;

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  const options = readScriptOptions(HELP, {
    texts: { posthog: "http://127.0.0.1:8010", key: "phc_demo" },
    numbers: { events: [1, 100, EVENTS_MAX], users: [1, 20, EVENTS_MAX], "per-second": [1, 20, 5_000] },
  });
  const run = crypto.randomUUID();
  const secret = Deno.env.get("IDENTITY_SECRET");
  const proofs = secret ? createEmailProofs(secret) : null;
  const { key, users } = options;
  const posthogUrl = options.posthog.replace(/\/+$/, "");
  for (let sent = 0; sent < options.events;) {
    const batch = Math.min(options["per-second"], options.events - sent);
    const now = Date.now();
    const events = Array.from(
      { length: batch },
      (_, i) => trafficEvent(sent + i, { run, users, now, key, proofs }),
    );
    try {
      await sendAsPosthogJs(events, { posthogUrl, key, fetch, now });
    } catch (error) {
      logError((error as Error).message);
      return 1;
    }
    sent += batch;
    console.log(`${sent} of ${options.events} events sent`);
    if (sent < options.events) await new Promise((resolve) => setTimeout(resolve, now + 1_000 - Date.now()));
  }
  return 0;
}
