import { beforeEach, describe, expect, test } from "vitest";
import { dismissalRecord, redriveMarkRecord } from "../../contract/dead_letter.ts";
import { idFromBody } from "../../contract/envelope.ts";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { createDeadLettersContext, type DeadLettersContext } from "./fixtures/dead_letters.ts";
import { deadLetterApi, type DeadLetterApiOptions } from "./api.ts";

let context: DeadLettersContext;
beforeEach(() => context = createDeadLettersContext());

const api = (given: Partial<DeadLetterApiOptions> = {}) =>
  deadLetterApi({ letters: context.letters, showsRaw: true, ...given });
const HOST = { host: "127.0.0.1:3001" };
const HERE = { remoteAddr: { hostname: "127.0.0.1" } };
const get = async (
  path: string,
  given: Partial<DeadLetterApiOptions> = {},
  { host = HOST.host, info = HERE, headers = {} } = {},
) => {
  const response = await api(given).request(path, { headers: { host, ...headers } }, info);
  return { status: response.status, headers: response.headers, body: await response.json() };
};
type Asked = {
  given?: Partial<DeadLetterApiOptions>;
  headers?: Record<string, string>;
  info?: typeof HERE;
};
const redrive = (order: unknown, asked?: Asked) => post("/redrive", order, asked);
const post = async (path: string, order: unknown, { given = {}, headers = {}, info = HERE }: Asked = {}) => {
  const body = typeof order === "string" ? order : JSON.stringify(order);
  const response = await api(given).request(path, {
    method: "POST",
    headers: { ...HOST, "content-type": "application/json", ...headers },
    body,
  }, info);
  return { status: response.status, headers: response.headers, body: await response.json() };
};

describe("the list of dead letters", () => {
  test("has the newest first, a histogram of all, and nothing of the records", async () => {
    await context.setAside({ id: "a", reason: "body is no JSON" });
    await context.setAside({ id: "b" });
    await context.setAside({ id: "c", redrives: 3 });
    const { body } = await get("/");
    expect(body).toMatchObject({
      total: 3,
      byReason: { "properties.input_prompt is no text": 2, "body is no JSON": 1 },
      redrivable: 2,
      redrivesMax: 3,
      older: null,
    });
    expect(body.letters.map(({ id }: { id: string }) => id)).toEqual(["0:2", "0:1", "0:0"]);
    expect(body.letters[2]).toEqual({
      id: "0:0",
      reason: "body is no JSON",
      step: "parse",
      topic: "posthog.webhooks",
      partition: 3,
      offset: 0,
      firstSeen: "2025-11-30T16:38:00.000Z",
      redrives: 0,
      redriven: false,
    });
    expect(JSON.stringify(body)).not.toContain("user-");
  });

  test("comes in pages, each letter once", async () => {
    for (let i = 0; i < 7; i++) await context.setAside();
    const seen: string[] = [];
    for (let path: string | null = "/?limit=3"; path !== null;) {
      const { body }: { body: { total: number; letters: { id: string }[]; older: string | null } } =
        await get(path);
      expect(body.total).toBe(7);
      seen.push(...body.letters.map(({ id }) => id));
      path = body.older === null ? null : `/?limit=3&before=${body.older}`;
    }
    expect(seen).toEqual(["0:6", "0:5", "0:4", "0:3", "0:2", "0:1", "0:0"]);
  });

  test("leaves redriven ones out unless all are asked for", async () => {
    await context.setAside();
    await redrive({ all: true });
    expect((await get("/")).body).toMatchObject({ total: 0, letters: [], byReason: {}, redrivable: 0 });
    expect((await get("/?all=1")).body).toMatchObject({ total: 1, letters: [{ redriven: true }] });
  });

  test.each(["/?limit=0", "/?limit=501", "/?limit=x", "/?before=7", "/?before=0:x"])(
    "%s is refused",
    async (path) => {
      expect((await get(path)).status).toBe(400);
    },
  );
});

describe("one dead letter", () => {
  test("is shown with its record as it came, where raw values are shown", async () => {
    await context.setAside({ id: "a", value: '{"event": "x",\n "é": 1}' });
    expect((await get("/0:0")).body).toMatchObject({
      id: "0:0",
      reason: "properties.input_prompt is no text",
      record: {
        key: "user-a",
        headers: { id: "a", event: "generation_failed" },
        value: '{"event": "x",\n "é": 1}',
        valueBytes: 24,
        utf8: true,
      },
      withheld: null,
    });
  });

  test("says so where its bytes are no text", async () => {
    await context.setAside({ value: new Uint8Array([0x7b, 0xff]) });
    expect((await get("/0:0")).body.record).toMatchObject({ value: "{\ufffd", valueBytes: 2, utf8: false });
  });

  test.each([
    ["SHOW_RAW is not set", { showsRaw: false }, {}],
    ["the request names another host", {}, { host: "pipeline.example:3001" }],
    ["the peer is elsewhere and names a loopback host", {}, {
      info: { remoteAddr: { hostname: "192.0.2.7" } },
    }],
    ["nobody knows the peer", {}, { info: {} as typeof HERE }],
    ["a proxy hands it on", {}, { headers: { "x-forwarded-for": "127.0.0.1" } }],
  ])("keeps its record for itself where %s", async (_, given, visit) => {
    await context.setAside({ id: "a" });
    const { status, headers, body } = await get("/0:0", given, visit);
    expect([status, body.record, body.withheld]).toEqual([200, null, "raw_not_shown"]);
    expect(JSON.stringify(body)).not.toContain("user-a");
    expect(headers.get("access-control-allow-origin")).toBeNull();
  });

  test("is not found where there is none", async () => {
    expect((await get("/0:9")).status).toBe(404);
    expect((await get("/x")).status).toBe(404);
  });
});

describe("POST redrive", () => {
  test("publishes the named letters once more, however often it is asked", async () => {
    await context.setAside({ id: "a" });
    await context.setAside({ id: "b" });
    expect((await redrive({ ids: ["0:1", "0:1"] })).body).toEqual({
      dryRun: false,
      redriven: 1,
      alreadyThere: 0,
      refused: 0,
      letters: [{ id: "0:1", outcome: "redriven", why: null }],
    });
    expect((await redrive({ ids: ["0:1"] })).body).toMatchObject({ redriven: 0, alreadyThere: 1 });
    expect(context.copies().map(({ headers }) => headers)).toEqual([
      { id: "b", event: "generation_failed", redrives: "1" },
    ]);
    expect((await get("/")).body.total).toBe(1);
  });

  test("takes all that wait, and refuses those that are worn out", async () => {
    await context.setAside({ id: "a" });
    await context.setAside({ id: "worn", redrives: 3 });
    const { body } = await redrive({ all: true });
    expect(body).toMatchObject({ redriven: 1, refused: 1 });
    expect(body.letters).toContainEqual({
      id: "0:1",
      outcome: "refused",
      why: "after 3 rounds another one does not help",
    });
    expect(context.copies().filter(({ headers }) => headers.redrives === "4")).toEqual([]);
    expect((await get("/")).body).toMatchObject({ total: 1, redrivable: 0 });
  });

  test("takes no letter that was dismissed, and says so where it is named", async () => {
    const id = await context.setAside({ id: "a" });
    await context.log.publish(DEAD_LETTER_TOPIC, [dismissalRecord({ letter: id, words: "ours" }, 1)]);
    expect((await get("/")).body).toMatchObject({ total: 0, letters: [], redrivable: 0, byReason: {} });
    expect((await get("/?all=1")).body.letters).toMatchObject([{ id, dismissed: { words: "ours" } }]);
    expect((await redrive({ all: true })).body).toMatchObject({ redriven: 0, refused: 0 });
    expect((await redrive({ ids: [id] })).body.letters).toEqual([
      { id, outcome: "refused", why: "it has been dismissed for good (ours)" },
    ]);
    expect(context.copies()).toEqual([]);
  });

  test("as a dry run says what would be done and does nothing, also during a replay", async () => {
    await context.setAside();
    await context.setAside({ redrives: 3 });
    context.hold("a replay");
    const before = context.log.records(DEAD_LETTER_TOPIC).length;
    const { body } = await redrive({ all: true, dryRun: true });
    expect(body).toMatchObject({ dryRun: true, redriven: 1, refused: 1 });
    expect(context.log.records(DEAD_LETTER_TOPIC)).toHaveLength(before);
    expect(context.copies().filter(({ headers }) => headers.redrives === "1")).toEqual([]);
  });

  test("waits for nobody: during a replay, an erasure or another redrive it is a 409 that says which", async () => {
    await context.setAside();
    context.hold("a replay (process 7)");
    expect(await redrive({ all: true })).toMatchObject({
      status: 409,
      body: { error: { code: "not_now", message: "A replay (process 7) is under way." } },
    });
    expect(context.copies()).toEqual([]);
    context.hold(null);
    expect((await redrive({ all: true })).body.redriven).toBe(1);
  });

  test("of two at the same time one publishes and the other is a 409, so that there is one copy", async () => {
    await context.setAside();
    const answers = await Promise.all([redrive({ all: true }), redrive({ all: true })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(context.copies()).toHaveLength(1);
  });

  test("gives the lock back when the log fails under it", async () => {
    await context.setAside();
    context.log.setAway(true);
    const app = api().onError((error, c) => c.text(error.message, 503));
    const headers = { ...HOST, "content-type": "application/json" };
    const answer = await app.request("/redrive", { method: "POST", headers, body: '{"all":true}' });
    expect([answer.status, await answer.text()]).toEqual([503, "The memory log is away."]);
    context.log.setAway(false);
    expect((await redrive({ all: true })).body.redriven).toBe(1);
    expect(context.copies()).toHaveLength(1);
  });

  test("belongs to the processor that writes the dataset", async () => {
    await context.setAside();
    context.forbid("This processor does not write the dataset.");
    expect((await redrive({ all: true })).status).toBe(409);
    expect(context.copies()).toEqual([]);
  });

  test("of a letter that is not there redrives nothing at all", async () => {
    await context.setAside();
    expect((await redrive({ ids: ["0:0", "0:7"] })).status).toBe(404);
    expect(context.copies()).toEqual([]);
  });

  test.each([
    ["a page of another site", { headers: { origin: "https://evil.example" } }, 403],
    ["a page whose name was turned to this machine", {
      headers: { origin: "http://evil.example:3001", host: "evil.example:3001" },
    }, 403],
    ["a form", { headers: { "content-type": "text/plain" } }, 415],
    ["a request without a type", { headers: { "content-type": "" } }, 415],
  ])("is refused to %s", async (_, request, status) => {
    await context.setAside();
    const answer = await redrive({ all: true }, request);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    expect(context.copies()).toEqual([]);
  });

  test.each([
    "",
    "{",
    "[]",
    "{}",
    '{"ids":[]}',
    '{"ids":["x"]}',
    '{"ids":"0:0"}',
    '{"all":false}',
    '{"all":true,"ids":["0:0"]}',
    '{"all":true,"dryrun":true}',
  ])("refuses the body %s", async (body) => {
    await context.setAside();
    expect((await redrive(body)).status).toBe(400);
    expect(context.copies()).toEqual([]);
  });

  test("refuses a body without end", async () => {
    expect((await redrive(`{"ids":["${"0".repeat(70_000)}"]}`)).status).toBe(413);
  });

  test("is no GET", async () => {
    await context.setAside();
    expect((await get("/redrive")).status).toBe(404);
    expect(context.copies()).toEqual([]);
  });
});

describe("POST resend", () => {
  const VALUE = '{"event":"feature_used","distinct_id":"somebody else"}';

  test("publishes the edited record once, marked as one, as a copy of the same event in the same place", async () => {
    await context.setAside({ id: "a" });
    expect((await post("/resend", { id: "0:0", value: VALUE })).body).toMatchObject({
      redriven: 1,
      letters: [{ id: "0:0", outcome: "redriven" }],
    });
    const [copy, ...more] = context.copies();
    expect(more).toEqual([]);
    expect(new TextDecoder().decode(copy!.value)).toBe(VALUE);
    expect(copy!.headers).toEqual({ id: "a", event: "feature_used", redrives: "1", edited: "0:0" });
    // By a key that lies elsewhere the writer would take the topic for one with more partitions.
    expect([new TextDecoder().decode(copy!.key!), copy!.partition]).toEqual(["user-a", 3]);
    expect((await get("/")).body).toMatchObject({ total: 0, byReason: {} });
    expect((await get("/?all=1")).body.letters).toMatchObject([{ id: "0:0", redriven: true, edited: true }]);
  });

  test("names an event that had no header, so that its copy is found again", async () => {
    const id = await context.setAside({ headers: {} });
    await post("/resend", { id, value: VALUE });
    const [source, copy] = context.log.records("posthog.webhooks", 3);
    expect(copy!.headers.id).toBe(idFromBody(source!.value));
  });

  test("a second time brings no second copy, and says that the event went on before", async () => {
    await context.setAside({ id: "a" });
    await post("/resend", { id: "0:0", value: VALUE });
    expect((await post("/resend", { id: "0:0", value: "{}" })).body).toMatchObject({
      redriven: 0,
      alreadyThere: 1,
    });
    expect(context.copies()).toHaveLength(1);
  });

  test("helps a letter that another round does not help", async () => {
    await context.setAside({ id: "worn", redrives: 3 });
    expect((await post("/resend", { id: "0:0", value: VALUE })).body).toMatchObject({
      redriven: 1,
      refused: 0,
    });
    expect(context.copies().at(-1)!.headers).toMatchObject({ redrives: "4", edited: "0:0" });
  });

  test("of a letter of an edited copy says in which letter that was edited", async () => {
    await context.setAside({ id: "a", redrives: 1, headers: { edited: "0:7" } });
    expect((await get("/")).body.letters).toMatchObject([{ id: "0:0", editedIn: "0:7" }]);
    await post("/resend", { id: "0:0", value: VALUE });
    expect(context.copies().at(-1)!.headers.edited).toBe("0:0");
  });

  test.each(["{", "", "no", '{"a":1}}', "undefined"])(
    "refuses what is no JSON before anything is sent: %j",
    async (value) => {
      await context.setAside();
      const { status, body } = await post("/resend", { id: "0:0", value });
      expect([status, body.error.code]).toEqual([400, "no_json"]);
      expect(context.copies()).toEqual([]);
      expect((await get("/")).body.total).toBe(1);
    },
  );

  test.each([
    ["SHOW_RAW is not set", { given: { showsRaw: false } }, 403],
    ["it comes from elsewhere", { info: { remoteAddr: { hostname: "192.0.2.7" } } }, 403],
    ["a proxy hands it on", { headers: { "x-forwarded-for": "127.0.0.1" } }, 403],
    ["a page of another site sends it", { headers: { origin: "https://evil.example" } }, 403],
    ["it is a form", { headers: { "content-type": "text/plain" } }, 415],
  ])("is refused where %s", async (_, asked, status) => {
    await context.setAside();
    expect((await post("/resend", { id: "0:0", value: VALUE }, asked)).status).toBe(status);
    expect(context.copies()).toEqual([]);
  });

  test("is refused for a letter that was set aside for good or unread, one that is not there, and more than ingest takes", async () => {
    const unread = await context.skip(context.unreadable());
    const dismissed = await context.setAside();
    await post("/dismiss", { id: dismissed, reason: "ours" });
    for (const id of [unread, dismissed]) {
      expect((await post("/resend", { id, value: VALUE })).body).toMatchObject({ redriven: 0, refused: 1 });
    }
    expect((await post("/resend", { id: "0:99", value: VALUE })).status).toBe(404);
    expect((await post("/resend", { id: dismissed, value: `"${"x".repeat(1024 * 1024)}"` })).status).toBe(
      413,
    );
    expect((await post("/resend", { id: dismissed, value: 7 })).status).toBe(400);
    expect(context.copies()).toEqual([]);
  });
});

describe("an edited copy whose redrive was killed before its end", () => {
  const killed = async (redrives: number) => {
    const id = await context.setAside({ id: "a", redrives });
    const begun = { mark: "begun", letter: id, endOffset: 1 } as const;
    await context.log.publish(DEAD_LETTER_TOPIC, [redriveMarkRecord(begun, 1)]);
    return id;
  };

  test.each([["a redrive", "/redrive"], ["another edit", "/resend"]])(
    "is brought to its end by %s, with no other copy, and stays known as edited",
    async (_, path) => {
      for (const redrives of [0, 3]) {
        context = createDeadLettersContext();
        const id = await killed(redrives);
        const headers = { id: "a", redrives: String(redrives + 1), edited: id };
        const copy = {
          key: null,
          value: new TextEncoder().encode("{}"),
          headers,
          timestamp: 1,
          partition: 3,
        };
        await context.log.publish("posthog.webhooks", [copy]);
        const { body } = await post(path, path === "/redrive" ? { ids: [id] } : { id, value: '"other"' });
        expect(body).toMatchObject({ redriven: 0, alreadyThere: 1, refused: 0 });
        expect(context.copies().filter(({ headers }) => headers.edited !== undefined)).toHaveLength(1);
        expect((await get("/?all=1")).body.letters).toMatchObject([{ id, redriven: true, edited: true }]);
      }
    },
  );

  test("is not taken for one where it was the letter's own record that somebody had edited", async () => {
    const id = await context.setAside({ id: "a", redrives: 1, headers: { id: "a", edited: "0:7" } });
    const begun = { mark: "begun", letter: id, endOffset: 1 } as const;
    await context.log.publish(DEAD_LETTER_TOPIC, [redriveMarkRecord(begun, 1)]);
    const headers = { id: "a", redrives: "2", edited: "0:7" };
    await context.log.publish("posthog.webhooks", [
      { key: null, value: new Uint8Array(), headers, timestamp: 1, partition: 3 },
    ]);
    expect((await redrive({ ids: [id] })).body).toMatchObject({ alreadyThere: 1 });
    expect((await get("/?all=1")).body.letters[0]).not.toHaveProperty("edited");
  });

  test("is refused as worn out where there is no copy yet, and an edit sends one", async () => {
    const id = await killed(3);
    expect((await redrive({ ids: [id] })).body).toMatchObject({ redriven: 0, refused: 1 });
    expect((await post("/resend", { id, value: "{}" })).body).toMatchObject({ redriven: 1 });
  });
});

describe("POST dismiss", () => {
  test("sets a letter aside for good, with its reason, once", async () => {
    await context.setAside();
    expect((await post("/dismiss", { id: "0:0", reason: " a test of ours " })).body).toEqual({
      id: "0:0",
      outcome: "dismissed",
    });
    expect((await get("/")).body.total).toBe(0);
    expect((await get("/?all=1")).body.letters).toMatchObject([{ dismissed: { words: "a test of ours" } }]);
    expect((await post("/dismiss", { id: "0:0", reason: "x" })).body.outcome).toBe("already_dismissed");
  });

  test("leaves alone what goes on already", async () => {
    await context.setAside({ id: "a" });
    await redrive({ all: true });
    expect((await post("/dismiss", { id: "0:0", reason: "x" })).body.outcome).toBe("redriven");
    expect((await get("/?all=1")).body.letters).not.toMatchObject([{ dismissed: expect.anything() }]);
  });

  test.each([
    [{ id: "0:0", reason: " " }, 400],
    [{ id: "0:0", reason: "x".repeat(1_001) }, 400],
    [{ id: "x", reason: "x" }, 400],
    [{ id: "0:0" }, 400],
    [{ id: "0:9", reason: "x" }, 404],
  ])("refuses %j", async (order, status) => {
    await context.setAside();
    expect((await post("/dismiss", order)).status).toBe(status);
    expect((await get("/")).body.total).toBe(1);
  });

  test("waits for nobody, and comes from no other site", async () => {
    await context.setAside();
    context.hold("a replay");
    expect((await post("/dismiss", { id: "0:0", reason: "x" })).status).toBe(409);
    context.hold(null);
    const headers = { origin: "https://evil.example" };
    expect((await post("/dismiss", { id: "0:0", reason: "x" }, { headers })).status).toBe(403);
  });
});

describe("the letter of a position", () => {
  test("is named by the position's partition and offset in the raw topic", async () => {
    await context.deliver("other");
    const id = await context.setAside({ id: "a" });
    expect((await get("/at/3:1")).body).toEqual({ id });
    for (const path of ["/at/3:0", "/at/x", "/at/3:1:2"]) {
      expect((await get(path)).status).toBe(404);
    }
  });
});
