import { join, resolve } from "node:path";
import { ConfigurationError, type Environment } from "../runtime/environment.ts";
import { browserUrlOf, urlOf } from "../runtime/listen.ts";
import type { LogFormat } from "../runtime/log.ts";
import { isLoopback, passwordHeaders } from "../contract/door.ts";
import { readIngestConfig } from "../ingest/config.ts";
import { readProcessorConfig } from "../processor/config.ts";
import type { ServiceSpec } from "./services.ts";
import { readStandInConfig } from "./stand_in/config.ts";
import { readWebConfig } from "../serve_web/config.ts";

/** What the demo sets for its services, and where each of them is found. Pure: free ports are an argument. */

/** A port that one of the services will listen on. */
export type DemoPort = { readonly service: string; readonly variable: string; readonly port: number };

export type DemoPlan = {
  readonly environment: Readonly<Record<string, string>>;
  readonly host: string;
  readonly dataDir: string;
  readonly ports: readonly DemoPort[];
  /** In the order in which data flows backwards: the last one is stopped first. */
  readonly services: readonly ServiceSpec[];
  readonly webUrl: string;
  /** The stand-in's; null where the environment names a PostHog of its own, which gets no sample. */
  readonly standIn: { readonly url: string; readonly key: string } | null;
};

/** The key that the demo's page uses towards the stand-in, which takes any. */
const DEMO_KEY = "phc_demo";
/** Who the demo's mails are from, as where nobody says anything. */
const MAIL_FROM = "Pipeline demo <offers@pipeline.example>";
const PORTS = [
  { service: "ingest", variable: "INGEST_PORT", otherwise: 3000 },
  { service: "processor", variable: "PROCESSOR_PORT", otherwise: 3001 },
  { service: "posthog-stand-in", variable: "POSTHOG_STAND_IN_PORT", otherwise: 8010 },
  { service: "web", variable: "WEB_PORT", otherwise: 8000 },
] as const;

/**
 * Decides everything before anything starts; throws `ConfigurationError` with every problem of every service.
 * `freePort` answers a port for one that is set to 0: the services must know each other's before they start.
 */
export function planDemo(environment: Environment, freePort: () => number): DemoPlan {
  const host = environment.HOST || "127.0.0.1";
  const ownPosthog = Boolean(environment.POSTHOG_HOST);
  const ports = PORTS
    .filter(({ service }) => !(ownPosthog && service === "posthog-stand-in"))
    .map(({ service, variable, otherwise }) => {
      const text = environment[variable] || String(otherwise);
      // What is no number stays as it is, for its service to complain about.
      return { service, variable, port: text === "0" ? freePort() : Number(text) || otherwise };
    });
  const portOf = (service: string) => ports.find((port) => port.service === service)?.port ?? 0;
  const url = (service: string) => urlOf(host, portOf(service));
  const dataDir = resolve(environment.DATA_DIR || "./data");
  const webUrl = browserUrlOf(host, portOf("web"));
  const standIn = ownPosthog
    ? null
    : { url: url("posthog-stand-in"), key: environment.POSTHOG_KEY || DEMO_KEY };
  const set = {
    ...(isLoopback(host) ? { SHOW_RAW: "1" } : {}),
    ...(environment.SMTP_URL ? {} : { PUBLIC_URL: webUrl }),
    INGEST_URL: url("ingest"),
    PROCESSOR_URL: url("processor"),
    ...(standIn === null ? {} : { POSTHOG_HOST: standIn.url, POSTHOG_KEY: standIn.key }),
  };
  const own = Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const whole: Record<string, string> = { ...set, ...Object.fromEntries(own), DATA_DIR: dataDir };
  // Where HOST is one address of this machine, that is the name by which they know each other.
  const { hostname } = new URL(url("ingest"));
  if (!isLoopback(hostname)) {
    whole.ALLOWED_HOSTS = [environment.ALLOWED_HOSTS, hostname].filter(Boolean).join();
  }
  for (const { variable, port } of ports) {
    if (!environment[variable] || environment[variable] === "0") whole[variable] = String(port);
  }
  refuseProblems(whole, { ports, ownPosthog });
  return {
    environment: whole,
    host,
    dataDir,
    ports,
    services: servicesOf({ environment: whole, url, withStandIn: standIn !== null }),
    webUrl,
    standIn,
  };
}

/**
 * The plan with `IDENTITY_SECRET` for the processor, and with web in the part of an application's server: it proves what the page
 * says. Only on loopback, where whoever asks web for a proof is whoever runs the demo, and only beside the stand-in: a real
 * PostHog brings events of applications that prove nothing yet. The environment's own secret stays.
 */
export function withIdentity(plan: DemoPlan, secret: () => string): DemoPlan {
  if (!isLoopback(plan.host) || plan.standIn === null) return plan;
  const IDENTITY_SECRET = plan.environment.IDENTITY_SECRET ?? secret();
  return withSettings(plan, { ...plan.environment, IDENTITY_SECRET, DEMO_PROOFS: "1" });
}

/** The plan with the demo's own mail server, where the environment names none. */
export function withMailbox(plan: DemoPlan, url: string): DemoPlan {
  const mail = { SMTP_URL: url, SMTP_TLS: "opportunistic", DEMO_MAILBOX: "1" };
  return withSettings(plan, { MAIL_FROM, ...plan.environment, ...mail });
}

/** The plan with a web that may ask the demo itself for its switches and its proof; nobody else knows the token. */
export function withControl(plan: DemoPlan, { url, token }: { url: string; token: string }): DemoPlan {
  const services = plan.services.map((service) =>
    service.name === "web"
      ? {
        ...service,
        environment: { ...service.environment, DEMO_CONTROL_URL: url, DEMO_CONTROL_TOKEN: token },
      }
      : service
  );
  return { ...plan, services };
}

/**
 * The plan with services whose log the demo reads, and shows as it likes. Where people read it, every event is a line,
 * unless the environment says how much is to be said.
 */
export function withLog(plan: DemoPlan, format: LogFormat): DemoPlan {
  const LOG_LEVEL = plan.environment.LOG_LEVEL ?? (format === "text" ? "debug" : "info");
  return withSettings(plan, { ...plan.environment, LOG_FORMAT: "json", LOG_LEVEL });
}

/**
 * The plan with services that OpenTelemetry tells apart; the task keeps the demo itself out of it, which would tell each of its looks
 * whether they are ready. Web sends no spans: Deno's own span of a request holds its whole address, and web's requests name people
 * and what they searched for.
 */
export function withTelemetry(plan: DemoPlan): DemoPlan {
  if (plan.environment.OTEL_DENO !== "true") return plan;
  const services = plan.services.map((service) => ({
    ...service,
    environment: {
      ...service.environment,
      OTEL_SDK_DISABLED: "false",
      OTEL_SERVICE_NAME: service.name,
      ...(service.name === "web" ? { OTEL_TRACES_SAMPLER: "always_off", OTEL_PROPAGATORS: "none" } : {}),
    },
  }));
  return { ...plan, services };
}

/** The plan with services that can put a terminal right whose demo was killed; see `demo/keys.ts`. */
export function withTerminal(plan: DemoPlan, settings: string): DemoPlan {
  return withSettings(plan, { ...plan.environment, DEMO_TERMINAL: settings });
}

function withSettings(plan: DemoPlan, environment: DemoPlan["environment"]): DemoPlan {
  return { ...plan, environment, services: plan.services.map((service) => ({ ...service, environment })) };
}

function servicesOf({ environment, url, withStandIn }: {
  environment: Readonly<Record<string, string>>;
  url: (service: string) => string;
  withStandIn: boolean;
}): ServiceSpec[] {
  const service = (name: string, { folder = name, ready = "readyz" } = {}) => ({
    name,
    module: new URL(`../${folder}/main.ts`, import.meta.url).href,
    environment,
    environmentFile: new URL(`../runtime/telemetry/${name}.env`, import.meta.url).href,
    readyUrl: `${url(name)}/${ready}`,
  });
  const [processor, ingest] = [service("processor"), service("ingest")];
  // It begins with what it still owes from the last run, and each of that has three attempts only.
  const standIn = {
    ...service("posthog-stand-in", { folder: "demo/stand_in", ready: "healthz" }),
    after: "ingest",
  };
  const readyHeaders = passwordHeaders(environment.CONSOLE_PASSWORD || null);
  const web = { ...service("web", { folder: "serve_web", ready: "" }), readyHeaders };
  return withStandIn ? [processor, ingest, standIn, web] : [processor, ingest, web];
}

function refuseProblems(
  environment: Environment,
  { ports, ownPosthog }: { ports: readonly DemoPort[]; ownPosthog: boolean },
): void {
  const problems = new Set<string>();
  const readers = [readIngestConfig, readProcessorConfig, readWebConfig];
  for (const read of ownPosthog ? readers : [...readers, readStandInConfig]) {
    try {
      read(environment);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      for (const problem of error.problems) problems.add(problem);
    }
  }
  for (const { variable, port } of ports) {
    const same = ports.find((other) => other.port === port && other.variable !== variable);
    if (same && same.variable > variable) {
      problems.add(`Cannot use port ${port} for both ${variable} and ${same.variable}: give each its own.`);
    }
  }
  if (ownPosthog && !environment.POSTHOG_KEY) {
    problems.add("Cannot use POSTHOG_HOST without POSTHOG_KEY: set it to the project's key, phc_….");
  }
  if (problems.size > 0) throw new ConfigurationError([...problems]);
}

/** The file that says that a DATA_DIR has seen its first start. */
export function firstStartMarker(dataDir: string): string {
  return join(dataDir, "posthog-stand-in", "first-start");
}
