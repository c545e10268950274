import { createDefine } from "fresh";
import { type ConsoleSettings, hostNameIn } from "../contract/door.ts";
import type { Services } from "./core/stations.ts";

/** What pages hand to the frame around them. */
export type State = {
  title?: string;
  /** What the services answered when the page was made; the strip starts from it. */
  services?: Services;
};

export const define = createDefine<State>();

/** Where web finds the others, read from the environment at each request. */
export type Settings = {
  readonly ingestUrl: string;
  readonly processorUrl: string;
  readonly posthogUrl: string;
  /** PostHog's project key: public by design, it stands in every page. */
  readonly posthogKey: string;
  /** Who may use this page. */
  readonly console: ConsoleSettings;
  /** Which Fresh serves this page, as the one who started it says; null where nobody did. */
  readonly fresh: "jsr" | "npm" | null;
  /** Where the dataset lies, as somebody in the services' folder would write it. */
  readonly datasetDir: string;
  /** Under which the demo's page is proven; null everywhere but in the demo, which alone sets DEMO_PROOFS. */
  readonly identitySecret: string | null;
  /** Where the demo's switches are; null everywhere but in the demo, which alone sets DEMO_CONTROL_URL and its token. */
  readonly demoControl: { readonly url: string; readonly token: string } | null;
  /** Whether ingest asks for a shared secret; the secret itself is never read here. */
  readonly withSecret: boolean;
};

/**
 * The one place that reads web's environment: INGEST_URL (this machine at INGEST_PORT, 3000),
 * PROCESSOR_URL (at PROCESSOR_PORT, 3001), POSTHOG_HOST (the stand-in, at POSTHOG_STAND_IN_PORT, 8010), POSTHOG_KEY (the stand-in takes any), FRESH, DATASET_DIR or DATA_DIR
 * (data), PUBLIC_URL (http://localhost:8000), CONSOLE_PASSWORD, ALLOW_ANONYMOUS and ALLOWED_HOSTS (none), in the demo
 * IDENTITY_SECRET, and whether WEBHOOK_SECRET is set. Throws where an address is no http or https one: nothing else may
 * ever be proxied.
 */
export function settings(): Settings {
  const fresh = Deno.env.get("FRESH");
  return {
    ingestUrl: address("INGEST_URL", onThisMachine("INGEST_PORT", 3000)),
    processorUrl: address("PROCESSOR_URL", onThisMachine("PROCESSOR_PORT", 3001)),
    posthogUrl: address("POSTHOG_HOST", onThisMachine("POSTHOG_STAND_IN_PORT", 8010)),
    posthogKey: Deno.env.get("POSTHOG_KEY") || "phc_demo",
    console: consoleSettings(),
    fresh: fresh === "jsr" || fresh === "npm" ? fresh : null,
    datasetDir: datasetDir(),
    identitySecret: Deno.env.get("DEMO_PROOFS") === "1" ? Deno.env.get("IDENTITY_SECRET") || null : null,
    demoControl: demoControl(),
    withSecret: Boolean(Deno.env.get("WEBHOOK_SECRET")),
  };
}

function demoControl(): Settings["demoControl"] {
  const [url, token] = [Deno.env.get("DEMO_CONTROL_URL"), Deno.env.get("DEMO_CONTROL_TOKEN")];
  return url && token ? { url, token } : null;
}

function consoleSettings(): ConsoleSettings {
  const password = Deno.env.get("CONSOLE_PASSWORD") || null;
  return {
    publicHost: new URL(address("PUBLIC_URL", "http://localhost:8000")).hostname.replace(/\.$/, ""),
    allowedHosts: (Deno.env.get("ALLOWED_HOSTS") ?? "").split(",").flatMap((name) =>
      hostNameIn(name.trim()) ?? []
    ),
    password,
    anonymous: password === null && /^(1|true)$/.test(Deno.env.get("ALLOW_ANONYMOUS") ?? ""),
  };
}

/** A port of 0, any free one, says nothing here; `deno task web` warns of it. */
function onThisMachine(name: string, otherwise: number): string {
  return `http://127.0.0.1:${Number(Deno.env.get(name)) || otherwise}`;
}

function address(name: string, otherwise: string): string {
  const value = Deno.env.get(name) || otherwise;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw new Error(`Cannot read ${name}: expected an address such as ${otherwise}.`);
  }
  return value.replace(/\/+$/, "");
}

/** A bucket where one is named: snippets read that by the list of its objects. */
function datasetDir(): string {
  const url = Deno.env.get("DATASET_URL");
  if (url) return url;
  const path = Deno.env.get("DATASET_DIR") || `${Deno.env.get("DATA_DIR") || "data"}/dataset`;
  return path.replace(/^\.\//, "").replace(/\/+$/, "");
}
