import type { Fact, Position } from "./facts.ts";

/** Facts as they are published and compared: apart from what checks read ones, which is loaded where one is read. */

const encoder = new TextEncoder();

/** What the log's `publish` takes; facts lie in the topic's one partition. */
export function encodeFact(fact: Fact) {
  const wire: Record<string, unknown> = { ...fact };
  for (const name of ["at", "eventAt", "askedAt", "dueAt", "nextAttemptAt"]) {
    if (typeof wire[name] === "number") wire[name] = new Date(wire[name] as number).toISOString();
  }
  if ("position" in fact) wire.position = `${fact.position.partition}:${fact.position.offset}`;
  const key = "subject" in fact ? fact.subject : "mailbox" in fact ? fact.mailbox : fact.fact;
  return {
    key: encoder.encode(key ?? fact.fact),
    value: encoder.encode(JSON.stringify(wire)),
    headers: {},
    timestamp: fact.at,
    partition: 0,
  };
}

/** True where `a` is the later of two positions in received time; the position decides between equal times. */
export function isNewer(
  a: { readonly at: number; readonly position: Position },
  b: { readonly at: number; readonly position: Position },
): boolean {
  if (a.at !== b.at) return a.at > b.at;
  if (a.position.partition !== b.position.partition) return a.position.partition > b.position.partition;
  return a.position.offset > b.position.offset;
}
