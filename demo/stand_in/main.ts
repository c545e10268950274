import { randomUUID } from "node:crypto";
import { systemClock } from "../../runtime/clock.ts";
import { ConfigurationError } from "../../runtime/environment.ts";
import { startPosthogStandIn } from "./server.ts";
import { readStandInConfig, type StandInConfig } from "./config.ts";

/** `deno task posthog-stand-in`: the stand-in alone, configured by the environment. */

const HELP = `Runs a stand-in for PostHog: takes events from its clients, delivers webhooks.

Usage: deno task posthog-stand-in [--help]

Environment: HOST, POSTHOG_STAND_IN_PORT (8010), POSTHOG_STAND_IN_WEBHOOK_URL (ingest's /api/webhooks), DATA_DIR,
WEBHOOK_SECRET, WEBHOOK_SIGNING_SECRET, STAND_IN_EVENTS (event names, or *), and to disturb deliveries, each a share
from 0 to 1: STAND_IN_DUPLICATE, STAND_IN_REORDER, STAND_IN_DROP.`;

if (import.meta.main) await main(Deno.args);

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) return console.log(HELP);
  if (args.length > 0) {
    console.error(`Cannot understand "${args.join(" ")}": posthog-stand-in takes only --help.`);
    Deno.exit(2);
  }
  const config = readConfig();
  try {
    await run(config);
  } catch (error) {
    const taken = error instanceof Deno.errors.AddrInUse;
    console.error(
      taken
        ? `posthog-stand-in: Cannot listen on ${config.host}:${config.port}: the port is taken. Set POSTHOG_STAND_IN_PORT.`
        : `posthog-stand-in: ${(error as Error).message}`,
    );
    Deno.exit(1);
  }
}

async function run(config: StandInConfig): Promise<void> {
  const stopped = stopSignal();
  const standIn = startPosthogStandIn(config, {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: ({ event, uuid, attempts, words }) =>
      console.error(
        `posthog-stand-in: warn: webhook of ${event} ${uuid} failed after ${attempts} of 3 attempts: ${words}`,
      ),
  });
  console.log(
    `posthog-stand-in: ${standIn.url} (delivers to ${config.target.url})`,
  );
  await stopped;
  const waiting = await standIn.stop();
  if (waiting > 0) console.log(`posthog-stand-in: ${waiting} webhooks wait on disk for the next start`);
  Deno.exit(0);
}

/** Resolves at the first SIGINT or SIGTERM; later ones change nothing. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resolve());
  });
}

function readConfig(): StandInConfig {
  try {
    return readStandInConfig(Deno.env.toObject());
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}
