import type { Clock } from "../runtime/clock.ts";
import type { SettingBreach, TopicLog, TopicSpec } from "./topic.ts";

/** How often the settings of topics are looked at while all of them are as they must be, in ms. */
export const SETTINGS_LOOK_EVERY_MS = 300_000;
/** The same while one is not, and least time between two looks, in ms. */
export const SETTINGS_LOOK_AGAIN_MS = 30_000;

/**
 * Watches the settings of topics beside a running service: whoever may change a topic may break a promise. It changes
 * nothing itself; what may be put right is at the next start. One line of the log for each change, not for each look.
 */
export class SettingsWatch {
  readonly #known = new Map<string, readonly SettingBreach[]>();
  #hurry = new AbortController();

  constructor(
    private readonly log: TopicLog,
    private readonly options: {
      readonly specs: readonly TopicSpec[];
      readonly clock: Clock;
      readonly report: (level: "info" | "warn", text: string) => void;
    },
  ) {}

  /** What is not as it must be, as of the last look. */
  get breaches(): readonly SettingBreach[] {
    return [...this.#known.values()].flat();
  }

  /** Looks at once, then again and again until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    if (this.log.breaches === undefined) return;
    while (!signal.aborted) {
      this.#hurry = new AbortController();
      const hurry = this.#hurry.signal;
      await this.#look();
      await clock.wait(SETTINGS_LOOK_AGAIN_MS, signal);
      if (this.breaches.length > 0) continue;
      const rest = SETTINGS_LOOK_EVERY_MS - SETTINGS_LOOK_AGAIN_MS;
      await clock.wait(rest, AbortSignal.any([signal, hurry]));
    }
  }

  /** Something went wrong that a setting may have brought about: the next look is due as soon as one may be. */
  lookSoon(): void {
    this.#hurry.abort();
  }

  async #look(): Promise<void> {
    for (const spec of this.options.specs) {
      const before = this.#known.get(spec.name) ?? [];
      // While the log is away what was known last stands.
      const now = await this.log.breaches!(spec).catch(() => before);
      this.#known.set(spec.name, now);
      this.#tell(before, now);
    }
  }

  #tell(before: readonly SettingBreach[], now: readonly SettingBreach[]): void {
    const { report } = this.options;
    const isIn = (list: readonly SettingBreach[], { words }: SettingBreach) =>
      list.some((one) => one.words === words);
    for (const breach of now) if (!isIn(before, breach)) report("warn", `${breach.words}.`);
    for (
      const { topic, setting } of before.filter((one) => !now.some(({ setting }) => setting === one.setting))
    ) {
      report("info", `topic "${topic}": ${setting} is as it must be again`);
    }
  }
}
