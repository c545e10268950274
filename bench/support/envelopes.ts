/** What the dataset writer's benchmark puts into the topic. */

export const PEOPLE = 5000;
const FIRST =
  "Anna Bruno Chiara Dmitri Elena Farid Greta Hiro Ines Jonas Kamila Liam Mei Noor Oskar Petra Quentin Rosa Sven Tara Umar Vera Wim Xenia Yusuf Zoe"
    .split(" ");
const LAST_BEGIN =
  "Ad Beck Cost Dan Erik Fisch Gard Hoff Iv Jans Kow Lomb Mor Nov Okaf Petr Quir Ross Schmid Tan"
    .split(" ");
const LAST_END = "er mann sen son ski ardi eau ov ell ström".split(" ");

/** Somebody's name, another one for each of 5,000 people: a product that has one user's name in every record is none. */
export function nameOf(person: number): string {
  const last = Math.floor(person / FIRST.length);
  const end = LAST_END[last % LAST_END.length];
  return `${FIRST[person % FIRST.length]} ${LAST_BEGIN[Math.floor(last / LAST_END.length)]}${end}`;
}

/** Prose with nothing in it, prose with a figure, an address and a phone number, and code. */
const PROMPTS = [
  "generate a marketing email for new users of our spring campaign, friendly tone, three paragraphs, one call to action",
  "Summarise the quarterly report below in five bullet points and mention every figure that changed by more than 10 %.",
  "write to jane.doe@example.com or call +1 415 555 0132 and ask about the invoice",
  "Rewrite this function without recursion: function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }",
];

export const TRAINING_EVENT = "generation_failed";

/** True where number `n` becomes a line; `training` is the share of those that do, in thousandths spread over each 1,000. */
export function isTraining(n: number, training: number): boolean {
  return n % 1000 < training * 1000;
}

/**
 * PostHog's body of the envelope `n`: 763 bytes on average with a training event, as posthog-js fills it. `days`: its event
 * happened on one of so many, in turns, in each partition; default: one after the other, a hundred a second.
 */
export function bodyOf(n: number, training: number, { days }: { readonly days?: number } = {}): Uint8Array {
  const hex = (of: number) => of.toString(16).padStart(12, "0");
  const person = n % PEOPLE;
  const happenedAt = days === undefined
    ? Date.UTC(2025, 10, 30) + n * 10
    : Date.UTC(2020, 0, 1) + (n + Math.floor(n / PEOPLE)) % days * 86_400_000;
  const uuid = `019ad56c-0000-7000-8000-${hex(n)}`;
  const distinct_id = `019ad56c-5168-7457-bac6-${hex(person)}`;
  const properties = {
    $lib: "web",
    $lib_version: "1.449.2",
    $browser: "Chrome",
    $browser_version: 142,
    $os: "Linux",
    $device_type: "Desktop",
    $current_url: "https://example.test",
    $ip: "203.0.113.42",
    $session_id: uuid,
    failure_reason: "timeout",
    input_prompt: PROMPTS[n % PROMPTS.length],
  };
  return new TextEncoder().encode(JSON.stringify({
    event: {
      uuid,
      event: isTraining(n, training) ? TRAINING_EVENT : "feature_used",
      distinct_id,
      properties,
      elements_chain: "",
      timestamp: new Date(happenedAt).toISOString(),
    },
    person: {
      id: uuid,
      properties: { email: `user${person}@example.test`, name: nameOf(person) },
      name: distinct_id,
    },
  }));
}
