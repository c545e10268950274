import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "../../../runtime/clock.ts";
import { join } from "node:path";
import { datasetLines } from "../../../tests/support/pipeline.ts";
import { failure, personIn } from "../fixtures/records.ts";
import { hashes } from "../fixtures/run.ts";
import { writeDataset } from "../fixtures/written_dataset.ts";
import { openJsonlDataset } from "./dataset.ts";

/** Lines of people whom only another partition's record has erased. */
const [jane, carl] = [personIn(2, 1), personIn(2, 2)];
const AT = Date.UTC(2025, 10, 30);
const times = ["2025-11-28T10:00:00.000Z", new Date(AT).toISOString(), new Date(AT + 1).toISOString()];
const elsewhere = new Map([[hashes.subject(jane), { offset: 0, at: AT }]]);

let dataDir: string;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  await writeDataset(
    dataDir,
    [jane, carl].flatMap((distinctId, n) =>
      times.map((timestamp, i) => failure(10 * n + i, { distinctId, timestamp }))
    ),
  );
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

async function sweep(crashAt: string | null = null): Promise<void> {
  const dataset = openJsonlDataset(join(dataDir, "dataset"), { dedupWindow: 100_000, clock: systemClock });
  const store = await dataset.open(2, 0);
  try {
    await store.recover();
    store.learn(elsewhere);
    await store.sweep({
      subject: hashes.subject,
      heartbeat: () => Promise.resolve(),
      faultPoint: (name) => {
        if (name === crashAt) throw new Error(`crash at ${name}`);
      },
    });
  } finally {
    store.close();
    dataset.close();
  }
}

it.each([null, "erase.temp", "erase.manifest", "erase.renamed"])(
  "the lines that are not after the erasure go, the others stay, with a crash at %s",
  async (crashAt) => {
    if (crashAt !== null) await expect(sweep(crashAt)).rejects.toThrow("crash at");
    await sweep();
    const left = datasetLines(dataDir).map(({ distinct_id, timestamp }) => `${distinct_id} ${timestamp}`);
    expect(left.sort()).toEqual([...times.map((time) => `${carl} ${time}`), `${jane} ${times[2]}`].sort());
    const dataset = openJsonlDataset(join(dataDir, "dataset"), { dedupWindow: 100_000, clock: systemClock });
    const store = await dataset.open(2, 0);
    expect(store.erased).toEqual(elsewhere);
    expect(store.manifest.nextOffset).toBe(6);
    store.close();
    dataset.close();
  },
);
