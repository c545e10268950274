import { describe, expect, test } from "vitest";
import { brokerIsOurs, whyNoKafka } from "../support/kafka_broker.ts";
import { inABucket, onItsDisk } from "../support/hosts/datasets.ts";
import { whyNoHosts } from "../support/hosts/hosts.ts";
import { type RoundsOptions, runRounds } from "../support/hosts/rounds.ts";
import { whyNoS3 } from "../support/s3/servers.ts";

/** Hosts for real: disks of their own, and networks that are cut. `deno task bench hosts` has many rounds. */
const ROUNDS = Number(Deno.env.get("HOST_ROUNDS") ?? 4);
const SEED = Number(Deno.env.get("SEED") ?? 7);

const why = await whyNoHosts() ?? await whyNoKafka() ??
  (brokerIsOurs() ? null : "hosts do not reach a broker that KAFKA_BROKERS names");

describe("Processors on hosts of their own", () => {
  const keepTheirPromises = async (options: Pick<RoundsOptions, "names" | "rounds" | "dataset">) => {
    const { taken, written, earners, mails } = await runRounds({ ...options, seed: SEED, say: console.log });
    expect(written.toSorted()).toEqual(taken.toSorted());
    expect(mails).toBe(earners);
  };

  test(
    `one alone, on its own disk: one line per webhook, one mail per earner (seed ${SEED})`,
    async ({ skip }) => {
      if (why !== null) return skip(why);
      await keepTheirPromises({ names: ["a"], rounds: 3, dataset: onItsDisk });
    },
    400_000,
  );

  test(
    `three that write one dataset in a bucket, one lost in each of ${ROUNDS} rounds: one line per webhook, one mail per earner (seed ${SEED})`,
    async ({ skip }) => {
      const absence = why ?? await whyNoS3("versitygw");
      if (absence !== null) return skip(absence);
      await keepTheirPromises({ names: ["a", "b", "c"], rounds: ROUNDS, dataset: inABucket });
    },
    600_000 + ROUNDS * 60_000,
  );
});
