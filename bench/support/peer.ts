import { join } from "node:path";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { LogConfig } from "../../topic/log_config.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { TRAINING_EVENT } from "./envelopes.ts";
import { type Measured, Stretch } from "./measuring.ts";

/**
 * Another program's way from the same topic to files of the same kind: a streams program that takes `-c FILE`, as
 * Benthos 4 (the last MIT release is 4.27) and Redpanda Connect do. It looks for four kinds of personal data by regular
 * expressions; it drops no duplicates, and doubles lines where it is killed.
 */
export type PeerOrder = {
  readonly program: string;
  readonly log: LogConfig & { readonly kind: "kafka" };
  /** Empty: its configuration and its files go there. */
  readonly dir: string;
  /** A consumer group that nobody has used. */
  readonly group: string;
  /** What the topic holds, and how many of them become lines. */
  readonly records: number;
  readonly lines: number;
  readonly warmUp: number;
};

const LOOK_EVERY_MS = 100;
/** How long it may do nothing at all, from its start on. */
const STILL_MS_MAX = 60_000;
/** Of Linux, on every machine that Deno runs on. */
const TICK_MICROS = 10_000;

/**
 * Tuned on two cores: the header decides before anything is parsed; batches of this size, one write a batch and date,
 * and a deep checkpoint gave it the most records per second.
 */
function configOf({ log, dir, group }: PeerOrder): string {
  const email = "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\\\.[A-Za-z]{2,}";
  const card = "\\\\b(?:[0-9][ -]?){13,16}\\\\b";
  const ip = "\\\\b(?:[0-9]{1,3}\\\\.){3}[0-9]{1,3}\\\\b";
  const phone = "\\\\+?[0-9][0-9 ().-]{7,}[0-9]";
  return `http:
  enabled: false
logger:
  level: ERROR
input:
  kafka_franz:
    seed_brokers: ${JSON.stringify(log.brokers)}
    topics: [${JSON.stringify(log.prefix + WEBHOOKS_TOPIC)}]
    consumer_group: ${JSON.stringify(log.prefix + group)}
    checkpoint_limit: 100000
    commit_period: ${LOOK_EVERY_MS}ms
    batching:
      count: 1000
      period: 100ms
pipeline:
  threads: -1
  processors:
    - mapping: |
        root = if @event != "${TRAINING_EVENT}" { deleted() }
    - mapping: |
        let event = this.event
        meta date = $event.timestamp.slice(0, 10)
        root.timestamp = $event.timestamp
        root.event = $event.event
        root.failure_reason = $event.properties.failure_reason
        root.input_prompt = $event.properties.input_prompt.re_replace_all("${email}", "<EMAIL_ADDRESS>").re_replace_all("${card}", "<CREDIT_CARD>").re_replace_all("${ip}", "<IP_ADDRESS>").re_replace_all("${phone}", "<PHONE_NUMBER>")
        root.distinct_id = $event.distinct_id
    - group_by_value:
        value: \${! @date }
    - archive:
        format: lines
output:
  file:
    path: ${JSON.stringify(`${join(dir, "lines")}/event=${TRAINING_EVENT}/date=\${! @date }/peer.jsonl`)}
    codec: lines
`;
}

/**
 * Runs it until it has committed all of the topic, and holds its lines against what they must be at least. What it has
 * fetched ahead while it warms up is not counted, which favours it where records are few.
 */
export async function measurePeer(order: PeerOrder, log: TopicLog): Promise<Measured> {
  const { program, dir, records: count, lines } = order;
  const filled = (await log.bounds(WEBHOOKS_TOPIC)).filter((of) => of.endOffset > of.startOffset);
  const config = join(dir, "peer.yaml");
  await Deno.writeTextFile(config, configOf(order));
  const child = start(program, config);
  let exit: number | null = null;
  const ended = child.status.then(({ code }) => exit = code);
  try {
    const stretch = new Stretch(order.warmUp, () => cpuMicrosOf(child.pid));
    let [done, movedAt] = [0, performance.now()];
    while (done < count) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const committed = await log.committed(WEBHOOKS_TOPIC, order.group);
      const now = committed.reduce<number>((sum, nextOffset) => sum + (nextOffset ?? 0), 0);
      if (now > done) [done, movedAt] = [now, performance.now()];
      if (exit !== null) {
        throw new Error(`${whyNot(program)} it ended with code ${exit} after ${done} records.`);
      }
      if (performance.now() - movedAt > STILL_MS_MAX) {
        throw new Error(`${whyNot(program)} it has stood still at ${done} of ${count} records for a minute.`);
      }
      const isOpen = () =>
        filled.every(({ partition, startOffset }) => (committed[partition] ?? 0) > startOffset);
      if (done < count) stretch.passed(done, isOpen);
    }
    const measured = stretch.end(count, rssMbMaxOf(child.pid));
    child.kill("SIGTERM");
    await ended;
    const written = await linesBelow(join(dir, "lines"));
    if (written >= lines) return measured;
    throw new Error(`${whyNot(program)} it wrote ${written} lines of ${lines}.`);
  } finally {
    if (exit === null) {
      child.kill("SIGKILL");
      await ended;
    }
  }
}

function start(program: string, config: string): Deno.ChildProcess {
  try {
    return new Deno.Command(program, { args: ["-c", config], stdout: "null", stderr: "inherit" }).spawn();
  } catch (error) {
    throw new Error(`${whyNot(program)} ${(error as Error).message}.`);
  }
}

const whyNot = (program: string) => `Cannot measure the peer ${program}:`;

/** Fields 14 and 15 of /proc/PID/stat, counted behind the name, which may hold blanks. */
function cpuMicrosOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

function rssMbMaxOf(pid: number): number {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1];
  return Math.round(Number(kilobytes) * 1024 / 1e6);
}

async function linesBelow(dir: string): Promise<number> {
  let lines = 0;
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) lines += await linesBelow(join(dir, name));
    else {
      for await (const bytes of (await Deno.open(join(dir, name))).readable) {
        for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
      }
    }
  }
  return lines;
}
