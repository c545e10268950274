import { randomBytes } from "node:crypto";
import { type ObjectStore, ObjectStoreSetupError } from "./object_store.ts";

/** Creators of one key at once, and how often they race: some servers check and then put, and lose one race in a few. */
const CREATORS = 4;
const RACES = 10;

/**
 * Looks whether the bucket creates once: of several that create one key at the same moment one wins, and what it wrote
 * stays. Throws {@link ObjectStoreSetupError} where it does not: every promise of the dataset rests on it.
 */
export async function probeCreation(store: ObjectStore): Promise<void> {
  const prefix = `_probe/${randomBytes(8).toString("hex")}/`;
  const keys = Array.from({ length: RACES }, (_, race) => `${prefix}${race}`);
  try {
    for (const key of keys) await race(store, key);
  } finally {
    await store.remove(keys).catch(() => {});
  }
}

async function race(store: ObjectStore, key: string): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: CREATORS }, async (_, creator) => ({
      creator,
      answer: await store.create(key, encoder.encode(String(creator))),
    })),
  );
  const winners = answers.filter(({ answer }) => answer === "created");
  const stored = await store.get(key);
  // The winner's answer may have been lost: then none says so, and what is there is one of them.
  if (stored === null || winners.length > 1) throw doesNotCreateOnce(store, winners.length);
  const [winner] = winners;
  if (winner && decoder.decode(stored) !== String(winner.creator)) throw doesNotCreateOnce(store, 2);
  if (await store.create(key, encoder.encode("late")) === "created") throw doesNotCreateOnce(store, 2);
}

const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];

function doesNotCreateOnce({ place }: ObjectStore, winners: number): ObjectStoreSetupError {
  const state = winners === 0
    ? `of ${CREATORS} that created one object at once nobody did, and it is not there`
    : `of ${CREATORS} that created one object at once ${winners} did`;
  return new ObjectStoreSetupError(
    `Cannot keep a dataset in ${place}: ${state}, so this server does not honour "If-None-Match: *" and two writers ` +
      `would lose each other's lines. Use a server that creates an object once (AWS S3, MinIO, Ceph and others do).`,
  );
}
