import { expect, test } from "vitest";
import { manualClock, settle } from "../tests/support/manual_clock.ts";
import { Breaker, MENU } from "./breaker.ts";
import { SWITCHES } from "./proof.ts";

/** The demo's control, as far as the key b asks it. */
function control({ agreesAtLook = 2, refusal = null as string | null } = {}) {
  const clock = manualClock();
  const said: string[] = [];
  const asked: string[] = [];
  const on = new Set<string>();
  let looks = 0;
  const fetch = (input: string | URL | Request, init: RequestInit = {}) => {
    const path = new URL(String(input)).pathname;
    if (new Headers(init.headers).get("authorization") !== "Bearer token") throw new Error("no token");
    if (path === "/proof") {
      const switches = Object.fromEntries(SWITCHES.map((name) => [name, on.has(name)]));
      const agree = ++looks > agreesAtLook;
      return Promise.resolve(
        Response.json({ agree, words: agree ? "7 sent: 7 lines, 0 lost" : "waits", switches }),
      );
    }
    const name = path.split("/").at(-1)!;
    const body = JSON.parse(String(init.body));
    asked.push(`${name} ${body.on}`);
    if (refusal !== null) {
      return Promise.resolve(Response.json({ error: { message: refusal } }, { status: 409 }));
    }
    if (body.on) on.add(name);
    else on.delete(name);
    return Promise.resolve(Response.json({ switch: name, on: body.on }));
  };
  const stop = new AbortController();
  const say = (words: string) => void said.push(words);
  const breaker = new Breaker({ url: "http://control", token: "token" }, {
    clock,
    stop: stop.signal,
    say,
    fetch,
  });
  const press = async (key: string) => {
    breaker.answer(key);
    for (let i = 0; i < 10; i++) await settle();
  };
  const lookAgain = async () => {
    await clock.advance(500);
    for (let i = 0; i < 10; i++) await settle();
  };
  /** What was killed runs again, a pause is over. */
  const mend = () => on.clear();
  return { breaker, press, lookAgain, mend, said, asked };
}

test("the menu names every switch beside its digit", () => {
  expect(MENU.filter((line) => /^ {4}\d {2}\S/.test(line))).toHaveLength(SWITCHES.length);
});

test("a digit behind the question breaks something, and once all agrees again the proof is said", async () => {
  const { breaker, press, lookAgain, mend, said, asked } = control();
  await press("1");
  expect(asked).toEqual([]);
  breaker.ask();
  await press("1");
  expect([asked, said]).toEqual([["kill-processor true"], ["broken: kill -9 the processor"]]);
  await lookAgain();
  mend();
  await lookAgain();
  expect(said.at(-1)).toBe("7 sent: 7 lines, 0 lost");
});

test("no proof is said of a pause that is not over, also where nothing waits yet", async () => {
  const { breaker, press, lookAgain, mend, said } = control({ agreesAtLook: 0 });
  breaker.ask();
  await press("3");
  await lookAgain();
  expect(said).toEqual(["broken: stop deliveries for 10 s"]);
  mend();
  await lookAgain();
  expect(said.at(-1)).toBe("7 sent: 7 lines, 0 lost");
});

test("the same digit again puts back what stays on; another key breaks nothing", async () => {
  const { breaker, press, said, asked } = control();
  for (const key of ["7", "7", "x", "9"]) {
    breaker.ask();
    await press(key);
  }
  expect(asked).toEqual(["mail-refuses true", "mail-refuses false"]);
  expect(said.at(-1)).toBe("whole again: mail-refuses");
});

test("what cannot be broken now is said in the control's words", async () => {
  const { breaker, press, said } = control({ refusal: "ingest does not run now" });
  breaker.ask();
  await press("2");
  expect(said).toEqual(["ingest does not run now"]);
});
