/** How web asks the other services: short time limits, no redirects, no cookies, failures as values. */
import { passwordHeaders } from "../../contract/door.ts";
import type { Settings } from "../utils.ts";

/** Longest wait for an answer before a service counts as away. */
const ANSWER_MS_MAX = 2_000;

const JSON_TYPE = { "content-type": "application/json" };

/** Where the processor's console is, and what opens it. */
export type Processor = Pick<Settings, "processorUrl" | "console">;

/** What every request to the processor carries. */
export function processorHeaders({ console }: Pick<Processor, "console">): Record<string, string> {
  return passwordHeaders(console.password);
}

/** The processor's door answers so to a web that it does not know; its words are no answer to who asked web. */
export const TURNED_AWAY = [401, 403, 421, 429];
export const REFUSED_WORDS =
  "The processor turns this page away. Give web and processor the same CONSOLE_PASSWORD, and the processor the name in " +
  "PROCESSOR_URL as one of its ALLOWED_HOSTS.";

/** JSON of an answer, or why there is none. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number | null; readonly message: string };

/**
 * Fetches within `limitMs`, body and all, following no redirect; rejects where they are over. The body is read whole: on
 * Deno 2.9 a chunk of a body whose request is aborted often never comes and never fails (a third of them when it was
 * measured), and its connection stays open.
 */
export async function fetchWithin(
  url: string | URL,
  { limitMs, ...init }: RequestInit & { limitMs: number },
): Promise<Response> {
  const signal = AbortSignal.timeout(limitMs);
  const response = await fetch(url, { redirect: "manual", ...init, signal });
  return new Response(response.body === null ? null : await response.arrayBuffer(), response);
}

type AskOptions = { limitMs?: number; order?: unknown; headers?: Record<string, string> };

/** Asks the processor's console for JSON; where it turns web away, the answer is a 502 that says what to set. */
export async function askProcessor<T>(
  path: string,
  { processor, ...options }: { processor: Processor; limitMs?: number; order?: unknown },
): Promise<Answer<T>> {
  const url = processor.processorUrl + path;
  const answer = await ask<T>(url, { ...options, headers: processorHeaders(processor) });
  if (answer.ok || !TURNED_AWAY.includes(answer.status ?? 0)) return answer;
  const error = { code: "upstream_away", message: REFUSED_WORDS };
  return { ok: false, status: 502, message: JSON.stringify({ error }) };
}

/** Asks for JSON, with `order` by a POST of it; `status` is null where nothing answered in time. */
export async function ask<T>(
  url: string,
  { limitMs = ANSWER_MS_MAX, order, headers = {} }: AskOptions = {},
): Promise<Answer<T>> {
  try {
    const response = await fetchWithin(url, {
      limitMs,
      headers: { ...headers, accept: "application/json", ...(order === undefined ? {} : JSON_TYPE) },
      ...(order === undefined ? {} : { method: "POST", body: JSON.stringify(order) }),
    });
    const text = await response.text();
    if (!response.ok) return { ok: false, status: response.status, message: text.slice(0, 500) };
    return { ok: true, value: JSON.parse(text) as T };
  } catch (error) {
    return { ok: false, status: null, message: error instanceof Error ? error.message : String(error) };
  }
}

/** Hands a GET on to the processor and its answer back: status, type and bytes, nothing else. 502 where it is away. */
export async function passThrough(
  path: string,
  processor: Processor,
  { limitMs = ANSWER_MS_MAX }: { limitMs?: number } = {},
): Promise<Response> {
  try {
    const response = await fetchWithin(processor.processorUrl + path, {
      limitMs,
      headers: processorHeaders(processor),
    });
    if (TURNED_AWAY.includes(response.status)) return away(REFUSED_WORDS);
    if (response.status >= 300 && response.status < 400) return away("The service answered with a redirect.");
    return new Response(response.body, {
      status: response.status,
      headers: {
        "content-type": response.headers.get("content-type") ?? "application/octet-stream",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      },
    });
  } catch {
    return away("The service does not answer.");
  }
}

/** Hands JSON that was asked for on, or why there is none: the service's own error, or 502 where it is away. */
export function answered<T>(answer: Answer<T>): Response {
  if (answer.ok) return Response.json(answer.value, { headers: { "cache-control": "no-store" } });
  if (answer.status === null) return away("The service does not answer.");
  if (answer.status < 400) return away("The service answered with a redirect.");
  return new Response(answer.message, {
    status: answer.status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

/** 502 in the pipeline's error shape. */
export function away(message: string): Response {
  return problem(502, "upstream_away", message);
}

/** 413, for a body that {@link readBounded} gave up. */
export function tooLarge(bytesMax: number): Response {
  return problem(413, "body_too_large", `The body is longer than ${bytesMax} bytes.`);
}

/** An answer in the pipeline's error shape. */
export function problem(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message } }, { status });
}

/** Reads a body whole, or answers null once it is longer than `bytesMax`: it is not read further then. */
export async function readBounded(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  { bytesMax }: { bytesMax: number },
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > bytesMax) return null;
    chunks.push(chunk);
  }
  return await new Blob(chunks).bytes();
}
