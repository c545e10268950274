/** The demo's panel "Break something": its switches and its proof, asked of the demo itself, which alone may kill. */
import { isLocal, visitOf } from "../../contract/door.ts";
import type { Settings } from "../utils.ts";
import { isOwnPage } from "./same_origin.ts";
import { answered, ask, problem, readBounded, tooLarge } from "./upstream.ts";

type Asked = { readonly req: Request; readonly info: unknown };
type Demo = Pick<Settings, "demoControl" | "console">;

const BODY_BYTES_MAX = 1_000;
/** Before a switch is thrown the services are looked at, and one of them may be away. */
const THROW_MS_MAX = 12_000;

/** The proof; 404 outside the demo, 403 for who comes from elsewhere. */
export async function proofOf({ req, info }: Asked, { demoControl }: Demo): Promise<Response> {
  if (demoControl === null) return noDemo();
  if (!isLocal(visitOf(req, info))) return fromElsewhere();
  const { url, token } = demoControl;
  return answered(await ask(`${url}/proof`, { headers: bearer(token), limitMs: THROW_MS_MAX }));
}

/** Throws a switch for a page of our own on this machine; the demo says whether there is one, and whether it can be now. */
export async function breakBy(
  name: string,
  { req, info, demoControl, console }: Asked & Demo,
): Promise<Response> {
  if (demoControl === null) return noDemo();
  if (!isLocal(visitOf(req, info))) return fromElsewhere();
  if (!isOwnPage(req, console)) {
    return problem(403, "forbidden", "Only this site's own pages break something.");
  }
  const body = await readBounded(req.body, { bytesMax: BODY_BYTES_MAX });
  if (body === null) return tooLarge(BODY_BYTES_MAX);
  const { url, token } = demoControl;
  const text = new TextDecoder().decode(body);
  let order: unknown = {};
  try {
    if (text !== "") order = JSON.parse(text);
  } catch {
    return problem(400, "bad_request", "The body is no JSON.");
  }
  const path = `/break/${encodeURIComponent(name)}`;
  return answered(await ask(url + path, { headers: bearer(token), order, limitMs: THROW_MS_MAX }));
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

function noDemo(): Response {
  return problem(404, "not_found", "This is no demo: nothing is broken here on purpose.");
}

function fromElsewhere(): Response {
  return problem(403, "forbidden", "Only this machine itself breaks its demo.");
}
