import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { isLocal, visitOf } from "../../contract/door.ts";
import type { DeadLetterListing, RedriveOrder } from "../../contract/processor_api.ts";
import type { DeadLetters } from "./service.ts";

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
const ID = /^\d{1,9}:\d{1,15}$/;

const order: z.ZodType<RedriveOrder> = z.union([
  z.strictObject({ ids: z.array(z.string().regex(ID)).min(1).max(IDS_MAX), dryRun: z.boolean().optional() }),
  z.strictObject({ all: z.literal(true), dryRun: z.boolean().optional() }),
]).transform((order) => order as RedriveOrder);

/**
 * `/api/dead-letters`: list, show, redrive, behind the console's door. Reading is as open as the rest of the status API, since a letter's own words
 * hold nothing of its record; the record itself is raw, and shown as raw prompts are. Redriving publishes, so no page of
 * another site may make a browser do it: a browser says by `Origin` where its POST comes from, and pages reach this
 * through web, which sends none.
 */
export function deadLetterApi({ letters, showsRaw }: DeadLetterApiOptions): Hono {
  const app = new Hono();
  app.get("/", async (c) => {
    const limit = Number(c.req.query("limit") ?? LIMIT);
    const before = c.req.query("before") ?? null;
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX || (before !== null && !ID.test(before))) {
      return c.json(
        problem("bad_request", `Expected before=partition:offset and limit from 1 to ${LIMIT_MAX}.`),
        400,
      );
    }
    const all = c.req.query("all") === "1";
    return noStore(c).json<DeadLetterListing>(await letters.list({ all, before, limit }));
  });
  app.get("/:id", async (c) => {
    const raw = showsRaw && isLocal(visitOf(c.req.raw, c.env));
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
    const result = await letters.redrive(wanted.data);
    switch (result.is) {
      case "done":
        return noStore(c).json(result.answer);
      case "unknown_letter":
        return c.json(
          problem("not_found", `There is no dead letter ${result.id}; nothing was redriven.`),
          404,
        );
      case "not_now":
        return c.json(problem("not_now", result.reason), 409);
    }
  });
  return app;
}

function whyRefused(c: Context): Response | null {
  if (c.req.header("origin") !== undefined) {
    return c.json(problem("forbidden", "Pages redrive through web, not here."), 403);
  }
  const type = (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json") return null;
  return c.json(problem("unsupported_media_type", "Send content-type: application/json."), 415);
}

function tooLarge(c: Context): Response {
  return c.json(problem("body_too_large", `The body is longer than ${BODY_BYTES_MAX} bytes.`), 413);
}

function noStore(c: Context): Context {
  c.header("cache-control", "no-store");
  return c;
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}
