import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getJson, webSeenAt } from "../browser/feed.ts";
import { now, startClock } from "../browser/now.ts";
import { ago, count } from "../core/format.ts";
import { FIGURES, type Proof, type Switch, SWITCHES } from "../core/proof.ts";

/** Often enough to watch it count along; the demo answers all pages from one look. */
const LOOK_EVERY_MS = 1_000;
/** Longer than the demo's look at all services may take while one is away. */
const THROW_MS_MAX = 15_000;

/** The demo's switches, and the proof that nothing gets lost by them. */
export default function BreakSomething() {
  const proof = useSignal<Proof | null>(null);
  /** When the proof was last told, ISO 8601, where nobody tells it any more. */
  const staleSince = useSignal<string | null>(null);
  const trouble = useSignal<string | null>(null);
  const busy = useSignal<ReadonlySet<string>>(new Set());

  const look = async () => {
    const answer = await getJson<Proof>("/api/proof", { limitMs: THROW_MS_MAX });
    if (answer !== null) proof.value = answer;
    staleSince.value = answer !== null ? null : staleSince.value ?? new Date().toISOString();
  };
  useEffect(() => {
    startClock();
    let timer: ReturnType<typeof setTimeout>;
    let ended = false;
    // One after another: a demo that answers slowly is not asked more.
    const again = async () => {
      if (!document.hidden) await look();
      if (!ended) timer = setTimeout(again, LOOK_EVERY_MS);
    };
    again();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, []);

  const throwIt = async ({ name, is }: Switch) => {
    if (busy.value.has(name)) return;
    busy.value = new Set([...busy.value, name]);
    const on = is === "once" || !(proof.value?.switches[name] ?? false);
    trouble.value = await order(name, on);
    await look();
    busy.value = new Set([...busy.value].filter((one) => one !== name));
  };

  // As texts: false would be left out of the page that the server makes.
  const isOn = (name: Switch["name"]) => proof.value?.switches[name] ? "true" : "false";
  return (
    <section class="panel wide" aria-labelledby="break-something">
      <div>
        <h2 id="break-something">Break something</h2>
        <p class="note">
          Go on clicking meanwhile: what was sent comes out as lines, dead letters or uses, none lost, none
          doubled.
        </p>
      </div>
      <div class="switches">
        {SWITCHES.filter(({ is }) => is !== "switch").map((one) => (
          <button
            key={one.name}
            type="button"
            class="quiet-button"
            aria-pressed={one.is === "pressed" ? isOn(one.name) : undefined}
            aria-disabled={busy.value.has(one.name) ? "true" : "false"}
            onClick={() => throwIt(one)}
          >
            {one.label}
          </button>
        ))}
        {SWITCHES.filter(({ is }) => is === "switch").map((one) => (
          <button
            key={one.name}
            type="button"
            role="switch"
            class="quiet-button"
            aria-checked={isOn(one.name)}
            aria-disabled={busy.value.has(one.name) ? "true" : "false"}
            onClick={() => throwIt(one)}
          >
            {one.label}
          </button>
        ))}
      </div>
      {trouble.value && <p class="trouble" role="alert">{trouble.value}</p>}
      <ProofLine proof={proof.value} staleSince={webSeenAt.value ?? staleSince.value} />
    </section>
  );
}

/** While figures are on their way, they are busy: they are read out once they agree. */
function ProofLine({ proof, staleSince }: { proof: Proof | null; staleSince: string | null }) {
  const isKnown = proof !== null && staleSince === null;
  const agrees = isKnown && proof.agree;
  return (
    <div
      class={`proof ${!isKnown ? "quiet" : agrees ? "ok" : "warn"}`}
      role="status"
      aria-busy={agrees ? "false" : "true"}
      data-proof={!isKnown ? "unknown" : agrees ? "agrees" : "differs"}
    >
      <p class="figures mono">
        {FIGURES.map(({ name, label }) => (
          <span key={name} class="figure">
            {label} <b>{proof === null ? "–" : count(proof[name])}</b>
          </span>
        ))}
      </p>
      <p class="words">
        <span aria-hidden="true">{!isKnown ? "○" : agrees ? "●" : "◆"}</span> {proof === null
          ? "The demo has not been asked yet."
          : staleSince !== null
          ? `The demo does not answer: these figures were last seen ${ago(staleSince, now())}.`
          : `${proof.words.replace(/\.$/, "")}.`}
      </p>
    </div>
  );
}

/** Null where it was done, else why not. */
async function order(name: Switch["name"], on: boolean): Promise<string | null> {
  try {
    const response = await fetch(`/api/break/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ on }),
      signal: AbortSignal.timeout(THROW_MS_MAX),
    });
    if (response.ok) return null;
    const { error } = await response.json() as { error?: { message?: string } };
    return `This was not done: ${error?.message ?? response.status}`;
  } catch {
    return "This was not done: web does not answer.";
  }
}
