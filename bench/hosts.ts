import { readScriptOptions } from "../runtime/script_options.ts";
import { inABucket } from "../tests/support/hosts/datasets.ts";
import { runRounds } from "../tests/support/hosts/rounds.ts";

/**
 * Do processors on hosts of their own keep one dataset in a bucket exact through many faults?
 *
 * Three of them in network namespaces, with a Kafka and an S3 server beside them: each round one is killed with -9, stopped
 * past its session, or cut off from the broker or the bucket. At the end the lines of what `deno task dataset files` lists are
 * the distinct webhooks that were answered 200, and mails are as many as people who earned one. Exit code 1 where they are not.
 * Needs root and iproute2; takes about 20 s a round.
 */
const { rounds, seed, hosts } = readScriptOptions(
  "Usage: deno task bench hosts [--rounds 20] [--seed 7] [--hosts 3]   (as root)",
  { numbers: { rounds: [1, 20, 10_000], seed: [0, 7, 2 ** 31 - 1], hosts: [2, 3, 6] } },
);

const names = Array.from({ length: hosts }, (_, n) => `host-${n + 1}`);
const { taken, written, earners, mails } = await runRounds({
  names,
  rounds,
  seed,
  dataset: inABucket,
  say: console.log,
});
const distinct = new Set(written);
const missing = taken.filter((uuid) => !distinct.has(uuid)).length;
console.log(
  `${taken.length} webhooks, ${written.length} lines, ${distinct.size} distinct, ${missing} missing; ${earners} earners, ${mails} mails`,
);
const exact = written.length === taken.length && distinct.size === taken.length && missing === 0 &&
  mails === earners;
console.log(exact ? "All promises held." : `A promise was broken: the same run again with --seed ${seed}.`);
Deno.exit(exact ? 0 : 1);
