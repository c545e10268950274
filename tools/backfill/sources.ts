import type { Clock } from "../../runtime/clock.ts";
import { backOffMs } from "../../runtime/retry.ts";
import { isObject } from "../../contract/envelope.ts";
import { CommandFailedError } from "../command.ts";

/**
 * Where missed events come from: PostHog's query API (HogQL, `POST /api/projects/:id/query/`), here, or a file of a batch
 * export (`file.ts`). Both give the body that a webhook would have carried.
 */
export type BackfillSource = {
  readonly events: AsyncIterable<BackfillEvent>;
  /** How much of it is read, from 0 to 1; null where nobody knows how much there is. */
  readonly share: () => number | null;
};

export type BackfillEvent =
  | { readonly ok: true; readonly body: Uint8Array }
  /** Cannot be read; `where` names the row or line. */
  | { readonly ok: false; readonly where: string; readonly reason: string };

export type QueryApi = {
  /** Without a slash at its end. */
  readonly host: string;
  readonly projectId: string;
  readonly personalApiKey: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
};

export type EventRange = {
  /** Event time, ISO 8601, UTC; `until` is exclusive. */
  readonly from: string;
  readonly until: string;
  readonly events: readonly string[];
};

/** Rows asked for at once; the API's own default is 100, its bound 50,000. */
export const ROWS_PER_PAGE = 5_000;
const ATTEMPTS_MAX = 6;
const ANSWER_MS_MAX = 120_000;
const RETRY_MS_MAX = 60_000;
/** What is asked for, of the API and of an export's columns. */
export const COLUMNS = [
  "uuid",
  "event",
  "distinct_id",
  "properties",
  "timestamp",
  "person_id",
  "person_properties",
] as const;

/** All events of the range, oldest first; how much of it is read goes by their times. */
export function querySource(api: QueryApi, range: EventRange): BackfillSource {
  const [from, until] = [Date.parse(range.from), Date.parse(range.until)];
  let at = from;
  const events = queryEvents(api, range, (timestamp) => {
    const time = Date.parse(`${timestamp.replace(" ", "T").slice(0, 23)}Z`);
    if (!Number.isNaN(time)) at = time;
  });
  return { events, share: () => (at - from) / (until - from) };
}

/** Page by page, each beginning behind the last row of the one before. */
async function* queryEvents(
  api: QueryApi,
  range: EventRange,
  onPage: (lastTimestamp: string) => void,
): AsyncGenerator<BackfillEvent> {
  let after = { timestamp: "", uuid: "" };
  for (;;) {
    const rows = await queryPage(api, { range, after });
    for (const row of rows) yield eventOf(row, `event ${row.uuid}`);
    const last = rows.at(-1);
    if (rows.length < ROWS_PER_PAGE || last === undefined) return;
    after = { timestamp: String(last.timestamp), uuid: String(last.uuid) };
    onPage(after.timestamp);
  }
}

async function queryPage(
  api: QueryApi,
  { range, after }: {
    readonly range: EventRange;
    readonly after: { readonly timestamp: string; readonly uuid: string };
  },
): Promise<Record<string, unknown>[]> {
  const where = after.uuid === ""
    ? "timestamp >= toDateTime64({from}, 6, 'UTC')"
    : "(timestamp, toString(uuid)) > (toDateTime64({afterTime}, 6, 'UTC'), {afterUuid})";
  const query =
    "select toString(uuid), event, distinct_id, properties, toString(toTimeZone(timestamp, 'UTC')), " +
    `toString(person_id), person.properties from events where ${where} and timestamp < toDateTime64({until}, 6, 'UTC') ` +
    `and event in {events} order by timestamp asc, toString(uuid) asc limit ${ROWS_PER_PAGE}`;
  const values = {
    from: range.from,
    until: range.until,
    events: range.events,
    afterTime: after.timestamp,
    afterUuid: after.uuid,
  };
  const answer = await ask(api, { query: { kind: "HogQLQuery", query, values } });
  if (!isObject(answer) || !Array.isArray(answer.results)) {
    throw new CommandFailedError(
      "Cannot read PostHog's answer: it has no results. Is POSTHOG_API_HOST the app's host?",
    );
  }
  return answer.results.map((row: unknown[]) => Object.fromEntries(COLUMNS.map((name, i) => [name, row[i]])));
}

/** One question, again after what may pass: 429 and 5xx, and a network that fails. */
async function ask(api: QueryApi, body: unknown): Promise<unknown> {
  const url = `${api.host}/api/projects/${encodeURIComponent(api.projectId)}/query/`;
  for (let attempt = 1;; attempt++) {
    const answer = await askOnce(api, { url, body });
    if (answer.is === "rows") return answer.json;
    if (answer.is === "final" || attempt === ATTEMPTS_MAX) {
      throw new CommandFailedError(`Cannot read events from PostHog: ${answer.message}`);
    }
    const waitMs = answer.retryAfterMs ?? backOffMs(attempt, { msFirst: 2_000, msMax: RETRY_MS_MAX });
    await api.clock.wait(Math.min(waitMs, RETRY_MS_MAX));
  }
}

type Answer =
  | { readonly is: "rows"; readonly json: unknown }
  | { readonly is: "final"; readonly message: string }
  | { readonly is: "again"; readonly message: string; readonly retryAfterMs: number | null };

async function askOnce(
  api: QueryApi,
  { url, body }: { readonly url: string; readonly body: unknown },
): Promise<Answer> {
  let response: Response;
  try {
    response = await api.fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${api.personalApiKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
  } catch (error) {
    return {
      is: "again",
      message: `${api.host} does not answer (${(error as Error).message}).`,
      retryAfterMs: null,
    };
  }
  if (response.ok) return { is: "rows", json: await response.json() };
  const said = (await response.text()).slice(0, 300);
  if (response.status === 401 || response.status === 403) {
    return {
      is: "final",
      message:
        `${response.status}, the key is not accepted. POSTHOG_PERSONAL_API_KEY needs the scope query:read on project ` +
        `${api.projectId}.`,
    };
  }
  if (response.status === 404) {
    return { is: "final", message: `404, there is no project ${api.projectId} at ${api.host}.` };
  }
  if (response.status !== 429 && response.status < 500) {
    return { is: "final", message: `${response.status}: ${said}` };
  }
  const seconds = Number(response.headers.get("retry-after"));
  return {
    is: "again",
    message: `${response.status}: ${said}`,
    retryAfterMs: seconds > 0 ? seconds * 1_000 : null,
  };
}

/** The webhook's default body of a row; exports and the API give properties as an object or as JSON text. */
export function eventOf(row: Record<string, unknown>, where: string): BackfillEvent {
  const properties = objectOf(row.properties);
  if (properties === null) return { ok: false, where, reason: "properties are no JSON object" };
  const personProperties = objectOf(row.person_properties) ?? {};
  const body = {
    event: {
      uuid: row.uuid ?? undefined,
      event: row.event,
      distinct_id: row.distinct_id,
      properties,
      timestamp: row.timestamp,
    },
    person: typeof row.person_id === "string" && row.person_id !== ""
      ? { id: row.person_id, properties: personProperties }
      : null,
  };
  return { ok: true, body: new TextEncoder().encode(JSON.stringify(body)) };
}

function objectOf(value: unknown): Record<string, unknown> | null {
  if (value === undefined || value === null || value === "") return {};
  try {
    const object: unknown = typeof value === "string" ? JSON.parse(value) : value;
    return isObject(object) ? object : null;
  } catch {
    return null;
  }
}
