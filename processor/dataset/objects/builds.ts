import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { Clock } from "../../../runtime/clock.ts";
import { encodeJson, parseJson } from "../core/commit.ts";
import { digits } from "../core/path.ts";
import { lastNumber, nonce } from "./commit_log.ts";
import { type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";

/** `_builds/<number>.json`: the highest number says which build is the dataset, and is the only switch there is. */

const entry = z.object({
  build: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$/),
  createdAt: z.string(),
  because: z.enum(["first", "replay", "reopened", "erased"]),
  nonce: z.string().optional(),
});

export type BuildEntry = z.infer<typeof entry> & { readonly number: number };

/** Creations of one number that come to nothing in a row before the bucket counts as away. */
const ATTEMPTS_MAX = 10;

export function buildKey(number: number): string {
  return `_builds/${digits(number, 10)}.json`;
}

/** A name for a build that nobody has begun. */
export function newBuildName(createdAt: string): string {
  return `${createdAt.replace(/[-:]|\.\d+/g, "")}-${randomBytes(4).toString("hex")}`;
}

/** Whether it is one that {@link newBuildName} makes. */
export function isBuildName(name: string): boolean {
  return /^\d{8}T\d{6}Z-[0-9a-f]{8}$/.test(name);
}

export class Builds {
  #current: BuildEntry | null = null;

  constructor(private readonly store: ObjectStore, private readonly clock: Pick<Clock, "now">) {}

  /** Reads on to the highest number; null where there is no build yet. */
  async current(): Promise<BuildEntry | null> {
    const known = this.#current?.number ?? 0;
    const last = await lastNumber(async (number) => await this.store.get(buildKey(number)) !== null, known);
    if (last > known) this.#current = (await this.#read(last))!;
    return this.#current;
  }

  /** Every entry, the first one first. */
  async all(): Promise<readonly BuildEntry[]> {
    const last = (await this.current())?.number ?? 0;
    const entries = await Promise.all(Array.from({ length: last }, (_, i) => this.#read(i + 1)));
    return entries.flatMap((entry) => entry ?? []);
  }

  /**
   * Creates the number behind `after`; null where somebody else was first, whose word then counts. Whatever the bucket
   * answered, reading the number decides.
   */
  async create(
    after: number,
    { build, because }: { readonly build: string; readonly because: BuildEntry["because"] },
  ): Promise<BuildEntry | null> {
    const number = after + 1;
    const own = { build, createdAt: new Date(this.clock.now()).toISOString(), because, nonce: nonce() };
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await this.#tryCreate(number, own) ? { ...own, number } : await this.#read(number);
      if (found === null) continue;
      return found.nonce === own.nonce ? found : null;
    }
    throw new ObjectStoreAwayError(
      `Cannot create "${
        buildKey(number)
      }" in ${this.store.place}: ${ATTEMPTS_MAX} creations were not confirmed, and it ` +
        `is not there. It is tried again.`,
    );
  }

  async #tryCreate(number: number, own: Omit<BuildEntry, "number">): Promise<boolean> {
    try {
      return await this.store.create(buildKey(number), encodeJson(own)) === "created";
    } catch (error) {
      if (error instanceof ObjectStoreAwayError) return false;
      throw error;
    }
  }

  async #read(number: number): Promise<BuildEntry | null> {
    const bytes = await this.store.get(buildKey(number));
    return bytes && { ...parseJson(buildKey(number), { bytes, schema: entry }), number };
  }
}
