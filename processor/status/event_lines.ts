import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { FEATURE_USED } from "../../contract/product_events.ts";
import type { Noted, TraceStep } from "../../contract/trace_step.ts";

/**
 * One line per event as it passes, for `LOG_LEVEL=debug`; a dead letter and a mail have theirs in the log at any level.
 * Of a chunk the newest alone are told, see `TRACE_STEPS_PER_CHUNK_MAX`.
 */
export type EventLines = { tell(steps: readonly TraceStep[]): void };

/** Events whose end has not been told yet. */
const OPEN_MAX = 1_000;
/** The two groups are apart by less; a use that is counted no further has no other end. */
const COUNTED_MS_MAX = 1_000;

type Polled = Extract<TraceStep, { step: "polled" }>;
type Counted = Extract<TraceStep, { step: "counted" }>;

export function createEventLines({ clock, say }: { readonly clock: Clock; readonly say: Log }): EventLines {
  const open = new Map<string, Polled>();
  /** Told before the other group has told whose they are. */
  const early = new Map<string, Counted>();
  const nameOf = ({ event, distinctId }: Polled) => `${event} of ${distinctId}`;

  function end(id: string, words: (event: string) => string, outcome: string): void {
    const polled = open.get(id);
    open.delete(id);
    const about = polled === undefined ? { id } : { id, event: polled.event };
    say("debug", words(polled === undefined ? `event ${id}` : nameOf(polled)), { ...about, outcome });
  }

  function begin(polled: Polled): void {
    keep(open, polled.id, polled);
    const counted = early.get(polled.id);
    if (counted !== undefined) return count(counted);
    if (polled.event !== FEATURE_USED) return;
    void clock.wait(COUNTED_MS_MAX).then(() => {
      if (open.get(polled.id) === polled) end(polled.id, (event) => `${event}: counts no further`, "ignored");
    });
  }

  function count(counted: Counted): void {
    const { id, uses, threshold } = counted;
    const told = () => {
      early.delete(id);
      end(id, (event) => `${event}: use ${uses} of ${threshold}`, "counted");
    };
    if (open.has(id)) return told();
    keep(early, id, counted);
    void clock.wait(COUNTED_MS_MAX).then(() => early.get(id) === counted && told());
  }

  function tell(step: TraceStep): void {
    switch (step.step) {
      case "polled":
        return begin(step);
      case "written": {
        const polled = open.get(step.id);
        const ms = polled === undefined ? NaN : Date.parse(step.at) - Date.parse(polled.receivedAt);
        const after = ms >= 0 ? `, ${ms} ms after it came` : "";
        return end(step.id, (event) => `${event}: line ${step.line} of ${step.file}${after}`, "line");
      }
      case "duplicate":
        return end(step.id, (event) => `${event}: has come before, dropped`, "duplicate");
      case "dead_lettered":
        return void open.delete(step.id);
      case "ignored":
        return end(step.id, (event) => `${event}: ${IGNORED[step.reason]}`, "ignored");
      case "noted":
        if (step.what.length === 0 || step.what.includes("not_counted")) return;
        return end(
          step.id,
          (event) => `${event}: ${step.what.map((what) => NOTED[what]).join(", ")}`,
          "noted",
        );
      case "counted":
        return count(step);
      case "earned": {
        const who = step.distinctId ?? "a person whose record is gone";
        const words = `${who} has earned the offer: mail due at ${step.dueAt}`;
        return say("debug", step.addressKnown ? words : `${words}, no address known yet`, { id: step.id });
      }
      case "mail":
        return;
    }
  }
  return { tell: (steps) => steps.forEach(tell) };
}

const IGNORED: Readonly<Record<Extract<TraceStep, { step: "ignored" }>["reason"], string>> = {
  other_event: "nothing is made of it",
  has_letter: "has a dead letter already",
  no_line: "has no line any more",
};

const NOTED: Readonly<Record<Noted, string>> = {
  address: "address known",
  join: "a join with another id noted",
  opt_out: "opted out of mail",
  unproven: "came without its proof",
  not_counted: "counts no further",
};

/** As the newest of {@link OPEN_MAX}. */
function keep<T>(among: Map<string, T>, id: string, value: T): void {
  among.delete(id);
  among.set(id, value);
  if (among.size > OPEN_MAX) among.delete(among.keys().next().value!);
}
