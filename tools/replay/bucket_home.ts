import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { Bucket } from "../../processor/dataset/mod.ts";
import type { DatasetHome } from "./home.ts";
import { StaleBuildError } from "./rebuild.ts";
import type { ReplayTarget } from "./to.ts";
import { CommandFailedError } from "../command.ts";

/** DATASET_URL: the highest number in `_builds` says which build is the dataset. */
export function bucketHome(bucket: Bucket): DatasetHome {
  return {
    place: bucket.place,
    windowMayChange: false,
    live: () => bucket.live(),
    at: (place) => bucket.at(place),
    beside: (createdAt) => bucket.beside(createdAt),
    /** What does not fit may be another host's that is at work: it stays, and `dataset drop` deletes what nobody wants. */
    async findInterrupted(fits) {
      for (const { dataset } of await bucket.unfinished()) {
        const note = await dataset.note();
        if (note !== null && fits(note)) return dataset;
      }
      return null;
    },
    async halt({ log, faultPoint }) {
      const live = await bucket.live();
      const known = await live?.partitions() ?? [];
      if (live) {
        const startOffsets = (await log.bounds(WEBHOOKS_TOPIC)).map(({ startOffset }) => startOffset);
        await bucket.seal(new Set([...startOffsets.keys(), ...known]), { startOffsets });
      }
      faultPoint("replay.wanted");
      // Nothing to give back: writers that meet a seal wait a minute for the switch, and then go on without it.
      return { release() {} };
    },
    async leadTo({ place }, { faultPoint }) {
      faultPoint("replay.linked");
      if (!await bucket.switchTo(place)) {
        throw new StaleBuildError("somebody else has led on to another build");
      }
      faultPoint("replay.renamed");
    },
    retire(place, { progress }) {
      const build = place.slice(place.lastIndexOf("/") + 1);
      progress.say(`the build before stays: \`deno task dataset drop ${build}\` deletes it.`);
      return Promise.resolve();
    },
  };
}

/** A prefix that has no dataset yet. */
export async function bucketTarget(bucket: Bucket): Promise<ReplayTarget> {
  const dataset = await bucket.first();
  if (dataset === null) {
    throw new CommandFailedError(
      `Cannot write to "${bucket.place}": there is a dataset already. Name a prefix that has none.`,
    );
  }
  return {
    dataset,
    isEmpty: async () => await dataset.note() === null,
    toEmpty: "delete what lies below that prefix",
  };
}
