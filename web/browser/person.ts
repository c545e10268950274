/**
 * Who uses the product in this browser, and the real posthog-js that carries what they do. The distinct_id is a random
 * user id, as PostHog advises; the e-mail address is a property of the person. Nothing is kept in a cookie.
 */
import { signal } from "@preact/signals";
import type { CaptureResult, PostHog } from "posthog-js/dist/module.slim.no-external.js";
import { FEATURE_USED, GENERATION_FAILED, saysWho } from "../../contract/product_events.ts";
import { add, sent } from "./feed.ts";
import { beginJourney } from "./journey.ts";

/** What PostHog calls this browser's user now; null until posthog-js has started. */
export const distinctId = signal<string | null>(null);
/** The ids under which PostHog knows this user, those from before they were identified too; of who was it before, none. */
export const ownIds = signal<ReadonlySet<string>>(new Set());
/** The address given in this browser; null while nobody is identified. */
export const email = signal<string | null>(null);
/** Why posthog-js could not be started; null while nothing is wrong. */
export const trouble = signal<string | null>(null);

const USER_ID = "pipeline.user_id";
const EMAIL = "pipeline.email";
const OWN_IDS = "pipeline.own_ids";
const OWN_IDS_MAX = 20;

let starting: Promise<PostHog> | undefined;

/** Loads and starts posthog-js once. */
export function startPosthog(options: { key: string; apiHost: string }): void {
  starting ??= start(options).catch((error) => {
    trouble.value = `posthog-js could not be started: ${
      error instanceof Error ? error.message : String(error)
    }`;
    throw error;
  });
  starting.catch(() => {});
}

async function start({ key, apiHost }: { key: string; apiHost: string }): Promise<PostHog> {
  const { posthog } = await import("posthog-js/dist/module.slim.no-external.js");
  posthog.init(key, {
    api_host: apiHost,
    ui_host: "https://us.posthog.com",
    // Everything that is not one of our two events stays off, and no settings are fetched from anywhere.
    advanced_disable_flags: true,
    autocapture: false,
    capture_pageview: false,
    capture_pageleave: false,
    capture_heatmaps: false,
    capture_dead_clicks: false,
    capture_performance: false,
    capture_exceptions: false,
    disable_session_recording: true,
    disable_surveys: true,
    disable_external_dependency_loading: true,
    save_referrer: false,
    save_campaign_params: false,
    persistence: "localStorage",
    person_profiles: "identified_only",
    request_queue_config: { flush_interval_ms: 250 },
    // A demo is clicked quickly, and by headless browsers too.
    rate_limiting: { events_per_second: 50, events_burst_limit: 500 },
    opt_out_useragent_filter: true,
  });
  posthog.on("eventCaptured", (event: CaptureResult) => {
    if (saysWho(event.event)) show(event, {});
  });
  const id = posthog.get_distinct_id();
  iAm(id, knownIds(id));
  const known = localStorage.getItem(USER_ID);
  email.value = known !== null && known === distinctId.value ? localStorage.getItem(EMAIL) : null;
  return posthog;
}

/** Says who this is: a random user id made once, and the address as a property of the person. */
export async function identify(address: string): Promise<void> {
  const posthog = await started();
  const userId = localStorage.getItem(USER_ID) ?? crypto.randomUUID();
  localStorage.setItem(USER_ID, userId);
  localStorage.setItem(EMAIL, address);
  const proofs = await proofsOf({
    distinctId: userId,
    anonymousId: posthog.get_distinct_id(),
    email: address,
  });
  // identify() takes no properties of its event: what is registered goes along with it, and with nothing else.
  if (proofs) posthog.register({ email_proof: proofs.join });
  posthog.identify(userId, { email: address, ...(proofs && { email_proof: proofs.email }) });
  if (proofs) posthog.unregister("email_proof");
  iAm(userId, ownIds.peek());
  email.value = address;
}

/** `before`: ids of the same person. */
function iAm(id: string, before: ReadonlySet<string>): void {
  ownIds.value = new Set([...before].filter((one) => one !== id).concat(id).slice(-OWN_IDS_MAX));
  distinctId.value = id;
  localStorage.setItem(OWN_IDS, JSON.stringify([...ownIds.value]));
}

/** Ids of an earlier visit; none where posthog-js begins with somebody else. */
function knownIds(id: string): ReadonlySet<string> {
  try {
    const ids = JSON.parse(localStorage.getItem(OWN_IDS) ?? "[]");
    return new Set(Array.isArray(ids) && ids.includes(id) ? ids : []);
  } catch {
    return new Set();
  }
}

/** What the application's server proves of its logged-in user; null where proofs are not asked for. */
async function proofsOf(who: { distinctId: string; anonymousId: string; email: string }) {
  const response = await fetch("/api/identity", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(who),
  }).catch(() => null);
  return response?.status === 200 ? await response.json() as { email: string; join: string } : null;
}

/** Forgets who this was; the next event is somebody else's. */
export async function becomeSomebodyElse(): Promise<void> {
  const posthog = await started();
  posthog.reset();
  localStorage.removeItem(USER_ID);
  localStorage.removeItem(EMAIL);
  iAm(posthog.get_distinct_id(), new Set());
  email.value = null;
}

/** Captures one use of the feature, under the name that counts towards an offer. */
export function useFeature(): Promise<void> {
  return capture(FEATURE_USED, { feature: "summarise" });
}

/** Captures one failed generation, the event that becomes a line of the dataset. */
export function failGeneration(prompt: string, reason: string): Promise<void> {
  return capture(GENERATION_FAILED, { input_prompt: prompt, failure_reason: reason });
}

async function capture(event: string, properties: Record<string, string>): Promise<void> {
  const posthog = await started();
  // Sent at once: this page is there to show the way of a single event. Products leave the batching on.
  const captured = posthog.capture(event, properties, { send_instantly: true });
  if (!captured) {
    trouble.value = "posthog-js dropped the event: too many in a short time. Wait a moment.";
    return;
  }
  trouble.value = null;
  show(captured, properties);
}

/** Gives an event that was captured here its row, and lights its way. */
function show(
  { uuid, event, timestamp, properties: { distinct_id } }: CaptureResult,
  properties: Record<string, string>,
): void {
  sent.value++;
  const at = (timestamp ?? new Date()).toISOString();
  add([{ step: "captured", id: uuid, event, distinctId: String(distinct_id), at, properties }]);
  beginJourney(uuid);
}

function started(): Promise<PostHog> {
  return starting ?? Promise.reject(new Error("posthog-js has not been started on this page."));
}
