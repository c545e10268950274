/** Something of everything behind the stand-ins of fakes.ts, hostile and long texts among it, and the pages that show it. */
import { type Fakes, MESSAGE_ID, THRESHOLD } from "./fakes.ts";

const UUID = "019ad56c-5168-7457-bac6-82981da45fb3";
const AT = "2026-01-01T12:00:00.250Z";
const MAIL_PATH = `/mail/${encodeURIComponent(MESSAGE_ID)}`;

/** Every page that the menu leads to; those that show one thing need something to show. */
export const MENU_PATHS = ["/", "/topic", "/dataset", "/mail", "/offers", "/dead-letters"];

/** Fills the stand-ins; answers every page there is then, by its path. */
export async function fillPages(fakes: Fakes): Promise<string[]> {
  const failure = (uuid: string, input_prompt: string, distinct_id: string) => ({
    uuid,
    event: "generation_failed",
    timestamp: new Date().toISOString(),
    properties: { distinct_id, input_prompt, failure_reason: "timeout" },
  });
  const long = `${"x".repeat(400)} ${"word ".repeat(80)} اتصل بي call +44 7911 123456`;
  fakes.take(failure(UUID, long, "user-".padEnd(200, "y")));
  for (let i = 0; i < THRESHOLD; i++) {
    const uuid = crypto.randomUUID();
    fakes.take({ ...failure(uuid, "", "user-1"), event: "feature_used" });
  }
  fakes.sendMail({ to: `${"a".repeat(60)}@example.org`, html: "<p>hello</p>" });
  for (let i = 0; i < THRESHOLD; i++) {
    fakes.take({ ...failure(crypto.randomUUID(), "", "user-2"), event: "feature_used" });
  }
  await fakes.deadLetters.setAside({ id: "first", reason: "body is no JSON" });
  await fakes.deadLetters.setAside({
    id: "x".repeat(300),
    reason: "y".repeat(300),
    value: "z".repeat(9_000),
  });
  fakes.details.set(UUID, {
    uuid: UUID,
    event: "generation_failed",
    distinctId: "user-1",
    deliveries: (["line", "duplicate"] as const).map((outcome, i) => ({
      receivedAt: AT,
      partition: 3,
      offset: 41 + i,
      outcome,
      redrives: 0,
      headers: { id: UUID, event: "generation_failed" },
      raw: JSON.stringify({ event: { uuid: UUID, properties: { input_prompt: long } } }),
    })),
    line: {
      file: "event=generation_failed/date=2026-01-01/p00003-0000.jsonl",
      line: 17,
      text: '{"a":"<EMAIL_ADDRESS>"}',
    },
    facts: [{ fact: "counted", at: AT, subject: "abc", position: "3:41" }],
    lookedAt: { partitions: [], facts: null },
  });
  const views = ["", "?view=text", "?view=headers", "?view=source"].map((view) => MAIL_PATH + view);
  const offers = ["/offers/user-1", "/offers/user-2"];
  return [
    ...MENU_PATHS,
    `/events/${UUID}`,
    ...offers,
    ...views,
    "/dead-letters?all=1",
    "/dead-letters/0%3A0",
    "/no",
  ];
}
