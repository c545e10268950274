import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { describeDatasetContract } from "../contract_suite/suite.ts";
import { openObjectDataset } from "./dataset.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { settings } from "./fixtures/settings.ts";

const UNPACK = {
  none: (bytes: Uint8Array) => bytes,
  gzip: (bytes: Uint8Array) => new Uint8Array(gunzipSync(bytes)),
  zstd: (bytes: Uint8Array) => new Uint8Array(zstdDecompressSync(bytes)),
};

for (const compression of ["none", "gzip", "zstd"] as const) {
  describeDatasetContract(`object storage (${compression})`, () => {
    const bucket = new MemoryBucket();
    const clock = manualClock();
    return Promise.resolve({
      open: ({ dedupWindow = 100 } = {}) =>
        openObjectDataset(settings({ compression }), { store: memoryStore(bucket), dedupWindow, clock }),
      read: (path) => {
        const { build } = JSON.parse(bucket.text(bucket.keys("_builds/").at(-1)!));
        const bytes = UNPACK[compression](bucket.objects.get(`${build}/${path}`)!.bytes);
        return Promise.resolve(new TextDecoder().decode(bytes));
      },
      remove: () => Promise.resolve(),
    });
  });
}
