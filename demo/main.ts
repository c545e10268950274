import { dirname } from "node:path";
import { createEmailProofs } from "../contract/email_proof.ts";
import { systemClock } from "../runtime/clock.ts";
import { keptSecret } from "../runtime/data_dir.ts";
import { isThere, makePrivateDirectory, PRIVATE } from "../runtime/durable_file.ts";
import { type Program, runProgram } from "../runtime/service.ts";
import {
  type DemoPlan,
  type DemoPort,
  firstStartMarker,
  planDemo,
  withControl,
  withIdentity,
  withLog,
  withMailbox,
  withTelemetry,
  withTerminal,
} from "./plan.ts";
import { startControl } from "./control.ts";
import { type Mailbox, openMailbox } from "./mailbox.ts";
import { FAILED_STARTS_MAX, runServices, type ServicesControl, type ServicesEnd } from "./services.ts";
import { sampleEvents, sendAsPosthogJs } from "./traffic.ts";
import { whatPageLacks } from "../serve_web/page.ts";
import { JSR_BUILD_MS_MAX, NPM_BUILD_MS_MAX } from "../serve_web/build.ts";
import { announce, log, type LogEntry, type LogFormat, readLog, relay, startLog } from "../runtime/log.ts";
import { EnvironmentReader } from "../runtime/environment.ts";
import { portAdvice } from "../runtime/taken_port.ts";
import { showsColours } from "../runtime/terminal.ts";
import { Breaker, MENU } from "./breaker.ts";
import { readKeys } from "./keys.ts";
import { openCommand, startBlock } from "./screen.ts";

/** `deno task demo`: the whole pipeline on one machine, from one command. */

const USAGE =
  `Starts everything on this machine: PostHog stand-in, ingest, processor, web. Ctrl-C stops all of it.

Usage: deno task demo [--no-sample] [--help]

  --no-sample   plays no sample of fictional events at the very first start

At a terminal o opens the page, b breaks something and q quits, and each event is a line as it passes. LOG_FORMAT=text
shows the same elsewhere, json (there the default) is for programs; LOG_LEVEL=info leaves the events out.

A second start continues with the same data (DATA_DIR, default ./data). The environment passes through to the
services, for instance KAFKA_BROKERS, SMTP_URL, DISCOUNT_WAIT, FRESH; POSTHOG_HOST and POSTHOG_KEY name a PostHog to
use in place of the stand-in. docs/configuration.md lists all of it.`;

/** The first start builds the page, from JSR or, where that does not succeed, without it; the rest is ready in seconds. */
const READY_MS_MAX = JSR_BUILD_MS_MAX + NPM_BUILD_MS_MAX + 60_000;
const STOP_MS_MAX = 15_000;
/** A demo that was killed a moment ago takes its services with it; so long its ports are waited for. */
const PORT_WAIT_MS_MAX = 5_000;
/** Entries of a start that are shown behind its block: the newest. */
const EARLY_MAX = 200;

// The terminal that it was started from takes it along.
const PROGRAM: Program = { name: "demo", usage: USAGE, flags: ["--no-sample"], stopsAlsoAt: ["SIGHUP"] };

/** With the demo's own mail server and its control, where there is a stand-in to prove anything with. */
async function run(
  made: DemoPlan,
  { stop: asked, withSample, format }: { stop: AbortSignal; withSample: boolean; format: LogFormat },
): Promise<number> {
  await using held = new AsyncDisposableStack();
  const quit = new AbortController();
  const stop = AbortSignal.any([asked, quit.signal]);
  const isWatched = format === "text" && Deno.stdout.isTerminal();
  let isReady = false;
  let breaker: Breaker | null = null;
  let plan = withLog(made, format);
  const keys = isWatched ? readKeys((key) => pressed(key)) : null;
  if (keys !== null) {
    held.defer(keys.restore);
    if (keys.terminal !== null) plan = withTerminal(plan, keys.terminal);
  }
  let mailbox: Mailbox | null = null;
  if (!plan.environment.SMTP_URL) {
    mailbox = await openMailbox(plan.dataDir);
    held.defer(mailbox.close);
    plan = withMailbox(plan, mailbox.url);
  }
  let services: ServicesControl | null = null;
  if (plan.standIn !== null) {
    const control = startControl({
      ...controlOf(plan, plan.standIn),
      services: () => services,
      mailbox,
      clock: systemClock,
      fetch,
    });
    held.defer(control.stop);
    plan = withControl(plan, control);
    breaker = new Breaker(control, { clock: systemClock, stop, say: (words) => announce(words) });
  }
  plan = withTelemetry(plan);
  stop.addEventListener("abort", () => announce("Stopping: what is under way is finished first."));
  function pressed(key: string): void {
    if (key === "q") return quit.abort();
    if (!isReady) return;
    if (key === "o") void openPage(plan.webUrl);
    else if (key === "b" && breaker !== null) {
      breaker.ask();
      for (const line of MENU) show(line);
    } else breaker?.answer(key);
  }
  /** At a terminal the block comes first, and nobody there needs the addresses of the services behind the page. */
  const early: LogEntry[] = [];
  function shown(entry: LogEntry): void {
    const isNews = entry.level === "warn" || entry.level === "error" ||
      (entry.service === "web" && !("url" in entry.about));
    if (!isWatched || isReady || isNews) relay(entry);
    else if (!("url" in entry.about) && early.push(entry) > EARLY_MAX) early.shift();
  }
  if (isWatched) announce(`starts ${plan.services.map(({ name }) => name).join(", ")}`);
  const end = await runServices(plan.services, {
    clock: systemClock,
    print(line, entry) {
      if (entry === undefined) log(/ (died|did not start) /.test(line) ? "warn" : "info", line);
      else shown(entry);
    },
    controlled: (control) => services = control,
    async whenReady() {
      const lack = await whatPageLacks(plan.webUrl, plan.environment.CONSOLE_PASSWORD || null);
      if (lack !== null) log("error", lack);
      await playSample(plan, { withSample });
      const seconds = (performance.now() / 1000).toFixed(1);
      isReady = true;
      if (!isWatched) {
        const words =
          `Ready in ${seconds} s: ${plan.webUrl} · data in ${plan.dataDir} · Ctrl-C stops all of it`;
        return announce(words, { url: plan.webUrl });
      }
      const block = {
        seconds,
        page: plan.webUrl,
        dataDir: plan.dataDir,
        keys: keys !== null,
        breaks: breaker !== null,
        colours: showsColours(Deno.stdout),
      };
      for (const line of startBlock(block)) show(line);
      for (const entry of early.splice(0)) relay(entry);
    },
    stop,
    readyMsMax: READY_MS_MAX,
    stopMsMax: STOP_MS_MAX,
  });
  for (const line of endText(end)) log("error", line);
  return end.is === "stopped" && end.killed.length === 0 ? 0 : 1;
}

/** What is for eyes alone, and no entry of a log. */
const show = console.log;

async function openPage(url: string): Promise<void> {
  const [program, ...args] = openCommand(Deno.build.os, url);
  try {
    const { success } = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    })
      .output();
    if (success) return;
  } catch {
    // It is not there.
  }
  announce(`Cannot open a browser from here. The page is at ${url}`);
}

function controlOf({ environment, services }: DemoPlan, { url, key }: NonNullable<DemoPlan["standIn"]>) {
  const addressOf = (name: string) =>
    new URL(services.find((service) => service.name === name)!.readyUrl).origin;
  const share = (name: string) => Number(environment[`STAND_IN_${name}`] ?? 0);
  return {
    urls: { standIn: url, ingest: addressOf("ingest"), processor: addressOf("processor") },
    posthogKey: key,
    consolePassword: environment.CONSOLE_PASSWORD || null,
    shares: { duplicate: share("DUPLICATE"), reorder: share("REORDER"), drop: share("DROP") },
  };
}

/** What to tell people about an end that was not asked for. */
function endText(end: ServicesEnd): string[] {
  const killed = end.killed.map((name) =>
    `${name} did not stop within ${STOP_MS_MAX / 1000} s and was killed.`
  );
  switch (end.is) {
    case "stopped":
      return killed;
    case "died": {
      const lines = end.lastLines.length > 0 ? end.lastLines : ["(it said nothing)"];
      return [
        ...killed,
        `${end.name} could not start ${FAILED_STARTS_MAX} times in a row (${end.reason}); the rest was stopped. Its last lines:`,
        ...lines.map((line) => `  ${line}`),
      ];
    }
    case "not_ready":
      return [
        ...killed,
        `Not ready within ${READY_MS_MAX / 1000} s: ${end.names.join(", ")}. All was stopped.`,
      ];
  }
}

/**
 * At the very first start on a DATA_DIR: a small sample, so that nobody looks at an empty page. The marker is written
 * last; a start cut off before it sends the same events again, which the pipeline takes for the repeats they are.
 */
async function playSample(
  { dataDir, standIn, environment }: DemoPlan,
  { withSample }: { withSample: boolean },
): Promise<void> {
  const marker = firstStartMarker(dataDir);
  if (standIn === null || isThere(marker)) return;
  const now = Date.now();
  if (withSample) {
    const { IDENTITY_SECRET } = environment;
    const proofs = IDENTITY_SECRET === undefined ? null : createEmailProofs(IDENTITY_SECRET);
    const events = sampleEvents({ now, key: standIn.key, proofs });
    await sendAsPosthogJs(events, { posthogUrl: standIn.url, key: standIn.key, fetch, now });
    announce(`Sample: ${events.length} events of fictional users, since this is the first start here`);
  }
  makePrivateDirectory(dirname(marker));
  Deno.writeTextFileSync(marker, `${new Date(now).toISOString()}\n`, PRIVATE);
}

/** Names taken ports at once; throws with what to do where one stays taken. */
async function portsFree({ host, ports }: DemoPlan, stop: AbortSignal): Promise<void> {
  const end = performance.now() + PORT_WAIT_MS_MAX;
  let said = "";
  for (let taken = takenPorts(host, ports); taken.length > 0; taken = takenPorts(host, ports)) {
    if (stop.aborted) return;
    if (performance.now() > end) throw new Error(`Cannot start: ${said}`);
    if (said === "") {
      said = takenText(taken, { host, ports });
      log(
        "warn",
        `${said} Waiting for ${PORT_WAIT_MS_MAX / 1_000} s, in case an earlier demo is still stopping.`,
      );
    }
    await systemClock.wait(100, stop);
  }
}

function takenText(taken: readonly DemoPort[], { host, ports }: Pick<DemoPlan, "host" | "ports">): string {
  const not = ports.map(({ port }) => port);
  return taken.map(({ service, variable, port }) =>
    `port ${port} (${service}, ${variable}) on ${host} is taken. ` +
    portAdvice({ host, port, setting: variable, not })
  ).join(" ");
}

function takenPorts(hostname: string, ports: readonly DemoPort[]): DemoPort[] {
  return ports.filter(({ port }) => {
    try {
      Deno.listen({ hostname, port }).close();
      return false;
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return true;
      throw error;
    }
  });
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

if (import.meta.main) {
  Deno.exit(
    await runProgram(PROGRAM, async ({ environment, flags, stop }) => {
      const settings = readLog(new EnvironmentReader(environment));
      const plan = planDemo(environment, freePort);
      const format = startLog("demo", settings, { environment, stream: Deno.stdout });
      await portsFree(plan, stop);
      if (stop.aborted) return 0;
      const identified = withIdentity(plan, () => keptSecret(plan.dataDir, "identity.secret"));
      return await run(identified, { stop, withSample: !flags.has("--no-sample"), format });
    }),
  );
}
