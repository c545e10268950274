/** The demo's part of an application's server: it proves that its user has this id, this address and that other id. */
import { createHmac } from "node:crypto";
import type { Settings } from "../utils.ts";
import { isOwnPage } from "./same_origin.ts";
import { readBounded } from "./upstream.ts";

/** Bytes of a body: three names of the size that ingest takes. */
const BODY_BYTES_MAX = 10_000;

/** `{distinctId, anonymousId, email}` → `{email, join}`, both proofs; 204 outside the demo, 403 for other pages. */
export async function proofsOf(
  request: Request,
  { identitySecret, console }: Pick<Settings, "identitySecret" | "console">,
): Promise<Response> {
  // No error: a page that asks in vain would have one in its console.
  if (identitySecret === null) return new Response(null, { status: 204 });
  if (!isOwnPage(request, console)) return new Response(null, { status: 403 });
  const body = await readBounded(request.body, { bytesMax: BODY_BYTES_MAX });
  const who = body === null ? null : read(new TextDecoder().decode(body));
  if (who === null) return new Response(null, { status: 400 });
  const proof = (said: string) =>
    createHmac("sha256", identitySecret).update(`${who.distinctId}\n${said}`).digest("hex");
  return Response.json({ email: proof(who.email), join: proof(who.anonymousId) }, {
    headers: { "cache-control": "no-store" },
  });
}

type Who = { readonly distinctId: string; readonly anonymousId: string; readonly email: string };

function read(text: string): Who | null {
  try {
    const { distinctId, anonymousId, email } = JSON.parse(text);
    return [distinctId, anonymousId, email].every((one) => typeof one === "string")
      ? { distinctId, anonymousId, email }
      : null;
  } catch {
    return null;
  }
}
