import { join, resolve } from "node:path";
import { type Environment, EnvironmentReader } from "../../runtime/environment.ts";
import type { HostSettings } from "../../contract/door.ts";
import { readHosts } from "../../contract/door_settings.ts";
import { EMAIL_UNSUBSCRIBED, FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import type { DeliveryLimits, Disturbance, WebhookTarget } from "./deliveries.ts";
import { signingKey } from "./webhook_signature.ts";
import { readLog } from "../../runtime/log.ts";

/** Settings of the PostHog stand-in, resolved. */
export type StandInConfig = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where persons and owed deliveries are kept. */
  readonly directory: string;
  readonly target: WebhookTarget;
  /** The destination's event matcher: names of events that are delivered; `*` matches every event. */
  readonly events: readonly string[];
  readonly disturbance: Disturbance;
  readonly limits: StandInLimits;
  readonly hosts: HostSettings;
};

export type StandInLimits = DeliveryLimits & {
  /** Largest request body, and largest body after decompression, in bytes; PostHog's own is 20 MiB. */
  readonly bodyBytesMax: number;
  readonly decodedBytesMax: number;
};

export const STAND_IN_LIMITS: StandInLimits = {
  bodyBytesMax: 20 * 1024 * 1024,
  decodedBytesMax: 40 * 1024 * 1024,
  inFlightMax: 64,
  owedMax: 10_000,
  owedBytesMax: 256 * 1024 * 1024,
};

/** The events that the pipeline uses: its own three, and those that tell who a person is. */
export const DELIVERED_EVENTS: readonly string[] = [
  FEATURE_USED,
  GENERATION_FAILED,
  EMAIL_UNSUBSCRIBED,
  "$identify",
  "$set",
  "$create_alias",
];

/** Reads and checks the environment; throws `ConfigurationError` with every problem. */
export function readStandInConfig(environment: Environment): StandInConfig {
  const env = new EnvironmentReader(environment);
  const config: StandInConfig = {
    host: env.text("HOST", "127.0.0.1"),
    port: env.port("POSTHOG_STAND_IN_PORT", 8010),
    directory: join(resolve(env.text("DATA_DIR", "./data")), "posthog-stand-in"),
    target: {
      url: readWebhookUrl(env),
      staticSecret: env.optional("WEBHOOK_SECRET") ?? null,
      signingKey: readSigningKey(env),
    },
    events: env.list("STAND_IN_EVENTS", DELIVERED_EVENTS),
    disturbance: {
      duplicate: readShare(env, "STAND_IN_DUPLICATE"),
      reorder: readShare(env, "STAND_IN_REORDER"),
      drop: readShare(env, "STAND_IN_DROP"),
    },
    limits: STAND_IN_LIMITS,
    hosts: readHosts(env, env.url("PUBLIC_URL", "http://localhost:8000")),
  };
  readLog(env); // Kept by who runs the service; what is wrong with it is said here, beside the rest.
  env.finish();
  return config;
}

function readWebhookUrl(env: EnvironmentReader): string {
  const port = env.port("INGEST_PORT", 3000);
  const named = ["POSTHOG_STAND_IN_WEBHOOK_URL", "INGEST_URL"].some((name) =>
    env.optional(name) !== undefined
  );
  if (port === 0 && !named) {
    env.refuse(
      "Cannot deliver webhooks to INGEST_PORT 0: name the address in POSTHOG_STAND_IN_WEBHOOK_URL.",
    );
  }
  const ingest = env.url("INGEST_URL", `http://127.0.0.1:${port}`);
  const url = env.url("POSTHOG_STAND_IN_WEBHOOK_URL", `${ingest}/api/webhooks`);
  const { username, password } = new URL(url);
  if (username !== "" || password !== "") {
    env.refuse("Cannot deliver webhooks to an address with a password in it: use WEBHOOK_SECRET.");
  }
  return url;
}

/** Of several secrets (rotation) PostHog would know one: the first. */
function readSigningKey(env: EnvironmentReader): Uint8Array | null {
  const secret = env.optional("WEBHOOK_SIGNING_SECRET")?.trim().split(/\s+/)[0];
  if (secret === undefined || secret === "") return null;
  const key = signingKey(secret);
  if (key === null) {
    env.refuse(
      "Cannot sign with WEBHOOK_SIGNING_SECRET: expected whsec_ and at least 24 bytes in base64. " +
        'Make one with `echo "whsec_$(openssl rand -base64 32)"`.',
    );
  }
  return key;
}

function readShare(env: EnvironmentReader, name: string): number {
  const value = env.optional(name);
  if (value === undefined) return 0;
  const share = /^\d?(\.\d{1,6})?$/.test(value) && /\d/.test(value) ? Number(value) : NaN;
  if (share >= 0 && share <= 1) return share;
  env.refuse(`Cannot read ${name} "${value}": expected a share from 0 to 1, such as 0.1.`);
  return 0;
}
