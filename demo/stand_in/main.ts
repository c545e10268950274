import { randomUUID } from "node:crypto";
import { systemClock } from "../../runtime/clock.ts";
import type { Environment } from "../../runtime/environment.ts";
import { type RunningService, runService } from "../../runtime/service.ts";
import { startPosthogStandIn } from "./server.ts";
import { readStandInConfig } from "./config.ts";
import { log } from "../../runtime/log.ts";

/** `deno task posthog-stand-in`: the stand-in alone, configured by the environment. */

const NAME = "posthog-stand-in";
const USAGE = `Runs a stand-in for PostHog: takes events from its clients, delivers webhooks.

Usage: deno task posthog-stand-in [--help]

Environment: HOST, POSTHOG_STAND_IN_PORT (8010), POSTHOG_STAND_IN_WEBHOOK_URL (ingest's /api/webhooks), DATA_DIR,
WEBHOOK_SECRET, WEBHOOK_SIGNING_SECRET, STAND_IN_EVENTS (event names, or *), and to disturb deliveries, each a share
from 0 to 1: STAND_IN_DUPLICATE, STAND_IN_REORDER, STAND_IN_DROP (while it runs: POST /api/switches, from this machine). ALLOWED_HOSTS: names that it answers to beside
loopback names and PUBLIC_URL's.`;

function run(environment: Environment): Promise<RunningService> {
  const config = readStandInConfig(environment);
  const standIn = startPosthogStandIn(config, {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: ({ event, uuid, attempts, words: message }) =>
      log("warn", `webhook of ${event} ${uuid} failed after ${attempts} of 3 attempts: ${message}`, {
        event,
        id: uuid,
      }),
  });
  return Promise.resolve({
    line: `${standIn.url} (delivers to ${config.target.url})`,
    async stop() {
      const waiting = await standIn.stop();
      if (waiting > 0) log("info", `${waiting} webhooks wait on disk for the next start`);
    },
  });
}

if (import.meta.main) Deno.exit(await runService({ name: NAME, usage: USAGE }, run));
