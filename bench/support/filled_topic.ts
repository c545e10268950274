import { decodeJson, parseEnvelope, toRecord } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import type { LoopName } from "../../processor/loop_messages.ts";
import { startLoop } from "../../processor/start_loop.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { TopicLog } from "../../topic/topic.ts";

/** A raw topic that is filled for a benchmark, and the processor's loops that pass it. */

export const SECRET = "a secret for a benchmark";
export const RECEIVED_AT = Date.UTC(2025, 11, 1);

/** Publishes the bodies of these numbers; answers their bytes. */
export async function fill(
  log: TopicLog,
  { from, until, bodyOf }: { from: number; until: number; bodyOf: (n: number) => Uint8Array },
): Promise<number> {
  let bytes = 0;
  for (let first = from; first < until; first += 1000) {
    const records = Array.from({ length: Math.min(1000, until - first) }, (_, i) => {
      const body = bodyOf(first + i);
      bytes += body.length;
      return toRecord(body, parseEnvelope(decodeJson(body)), { receivedAt: RECEIVED_AT });
    });
    await log.publish(WEBHOOKS_TOPIC, records);
  }
  return bytes;
}

/** True where a group has committed all that the topic holds. */
export async function hasCommitted(log: TopicLog, group: string): Promise<boolean> {
  const committed = await log.committed(WEBHOOKS_TOPIC, group);
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  return bounds.every(({ partition, startOffset, endOffset }) =>
    endOffset === startOffset || committed[partition] === endOffset
  );
}

/** Runs these loops, each in a Worker of its own, until `isDone`; resolves once they have ended. */
export async function runLoops(
  names: readonly LoopName[],
  { config, lookMs, isDone }: { config: ProcessorConfig; lookMs: number; isDone: () => Promise<boolean> },
): Promise<void> {
  const loops = names.map((name) => startLoop(name, { config, pipelineSecret: SECRET, report: () => {} }));
  while (!(await isDone())) {
    await Promise.race([systemClock.wait(lookMs), ...loops.map(({ ended }) => ended)]);
  }
  for (const loop of loops) loop.drain();
  await Promise.all(loops.map(({ ended }) => ended));
}
