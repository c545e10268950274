import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { orNull } from "../../contract/envelope.ts";
import { isLetterId } from "../../contract/dead_letter.ts";
import { isLocal, visitOf } from "../../contract/door.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type DeadLetterListing,
  DISMISSAL_WORDS_MAX,
  type DismissOrder,
  EDITED_BYTES_MAX,
  type LetterAt,
  type RedriveOrder,
  type ResendOrder,
} from "../../contract/processor_api.ts";
import type { DeadLetters, Result } from "./service.ts";

/** What the routes of dead letters depend on. */
export type DeadLetterApiOptions = {
  readonly letters: DeadLetters;
  /** `SHOW_RAW`: a letter is shown with its record, to this machine only. */
  readonly showsRaw: boolean;
};

const LIMIT = 50;
const LIMIT_MAX = 500;
const IDS_MAX = 1_000;
const BODY_BYTES_MAX = 64 * 1024;
/** In JSON a text takes up to six bytes for each of its own; few do. */
const RESEND_BYTES_MAX = 3 * EDITED_BYTES_MAX;

const id = z.string().refine(isLetterId);

const order: z.ZodType<RedriveOrder> = z.union([
  z.strictObject({ ids: z.array(id).min(1).max(IDS_MAX), dryRun: z.boolean().optional() }),
  z.strictObject({ all: z.literal(true), dryRun: z.boolean().optional() }),
]).transform((order) => order as RedriveOrder);

const edit: z.ZodType<ResendOrder> = z.strictObject({ id, value: z.string() });
const dismissal: z.ZodType<DismissOrder> = z.strictObject({
  id,
  reason: z.string().trim().min(1).max(DISMISSAL_WORDS_MAX),
});

/**
 * `/api/dead-letters`: list, show, redrive, resend, dismiss, behind the console's door. Reading is as open as the rest of the status API, since a letter's own words
 * hold nothing of its record; the record itself is raw, and shown as raw prompts are. Redriving publishes, so no page of
 * another site may make a browser do it: a browser says by `Origin` where its POST comes from, and pages reach this
 * through web, which sends none.
 */
export function deadLetterApi({ letters, showsRaw }: DeadLetterApiOptions): Hono {
  const app = new Hono();
  app.get("/", async (c) => {
    const limit = Number(c.req.query("limit") ?? LIMIT);
    const before = c.req.query("before") ?? null;
    if (
      !Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX || (before !== null && !isLetterId(before))
    ) {
      return c.json(
        problem("bad_request", `Expected before=partition:offset and limit from 1 to ${LIMIT_MAX}.`),
        400,
      );
    }
    const all = c.req.query("all") === "1";
    return noStore(c).json<DeadLetterListing>(await letters.list({ all, before, limit }));
  });
  app.get("/at/:position", async (c) => {
    const position = c.req.param("position");
    const [partition, offset] = isLetterId(position) ? position.split(":").map(Number) : [-1, -1];
    const letter = await letters.letterAt({ topic: WEBHOOKS_TOPIC, partition: partition!, offset: offset! });
    return letter === null
      ? c.json(problem("not_found", "What lies at this position has no dead letter."), 404)
      : noStore(c).json<LetterAt>({ id: letter });
  });
  const mayShowRaw = (c: Context) => showsRaw && isLocal(visitOf(c.req.raw, c.env));
  app.get("/:id", async (c) => {
    const raw = mayShowRaw(c);
    const letter = await letters.show(c.req.param("id"), { raw });
    return letter
      ? noStore(c).json(letter)
      : c.json(problem("not_found", "There is no dead letter of this id."), 404);
  });
  app.post("/redrive", bodyLimit({ maxSize: BODY_BYTES_MAX, onError: tooLarge }), async (c) => {
    const refusal = whyRefused(c);
    if (refusal) return refusal;
    const wanted = order.safeParse(await c.req.json().catch(() => null));
    if (!wanted.success) {
      const message = `Expected {"ids":["0:17"]} with 1 to ${IDS_MAX} ids, or {"all":true}, and "dryRun".`;
      return c.json(problem("bad_request", message), 400);
    }
    return answerTo(c, await letters.redrive(wanted.data));
  });
  app.post("/resend", bodyLimit({ maxSize: RESEND_BYTES_MAX, onError: tooLarge }), async (c) => {
    const refusal = whyRefused(c);
    if (refusal) return refusal;
    // Who may not see a record cannot have edited it.
    if (!mayShowRaw(c)) {
      return c.json(
        problem("forbidden", "Records are raw: they are edited on this machine, with SHOW_RAW."),
        403,
      );
    }
    const wanted = edit.safeParse(await c.req.json().catch(() => null));
    if (!wanted.success) {
      return c.json(problem("bad_request", 'Expected {"id":"0:17","value":"…"}, the value as text.'), 400);
    }
    const { value } = wanted.data;
    if (new TextEncoder().encode(value).length > EDITED_BYTES_MAX) {
      return c.json(problem("body_too_large", `The record is longer than ${EDITED_BYTES_MAX} bytes.`), 413);
    }
    if (orNull(() => [JSON.parse(value)]) === null) {
      return c.json(problem("no_json", "The record is no JSON: nothing was sent."), 400);
    }
    return answerTo(c, await letters.resend(wanted.data));
  });
  app.post("/dismiss", bodyLimit({ maxSize: BODY_BYTES_MAX, onError: tooLarge }), async (c) => {
    const refusal = whyRefused(c);
    if (refusal) return refusal;
    const wanted = dismissal.safeParse(await c.req.json().catch(() => null));
    if (!wanted.success) {
      const message =
        `Expected {"id":"0:17","reason":"…"} with a reason of 1 to ${DISMISSAL_WORDS_MAX} characters.`;
      return c.json(problem("bad_request", message), 400);
    }
    return answerTo(c, await letters.dismiss(wanted.data));
  });
  return app;
}

function answerTo<T extends object>(c: Context, result: Result<T>): Response {
  switch (result.is) {
    case "done":
      return noStore(c).json(result.answer);
    case "unknown_letter":
      return c.json(problem("not_found", `There is no dead letter ${result.id}; nothing was done.`), 404);
    case "not_now":
      return c.json(problem("not_now", result.reason), 409);
  }
}

function whyRefused(c: Context): Response | null {
  if (c.req.header("origin") !== undefined) {
    return c.json(problem("forbidden", "Pages do this through web, not here."), 403);
  }
  const type = (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json") return null;
  return c.json(problem("unsupported_media_type", "Send content-type: application/json."), 415);
}

function tooLarge(c: Context): Response {
  return c.json(problem("body_too_large", `The body is too long.`), 413);
}

function noStore(c: Context): Context {
  c.header("cache-control", "no-store");
  return c;
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}
