import { join } from "node:path";
import { systemClock } from "../../../runtime/clock.ts";
import { describeDatasetContract } from "../contract_suite/suite.ts";
import { openJsonlDataset } from "./dataset.ts";

describeDatasetContract("a directory", async () => {
  const home = await Deno.makeTempDir();
  const datasetDir = join(home, "dataset");
  return {
    open: ({ dedupWindow = 100 } = {}) =>
      Promise.resolve(openJsonlDataset(datasetDir, { dedupWindow, clock: systemClock })),
    read: (path) => Deno.readTextFile(join(Deno.realPathSync(datasetDir), path)),
    remove: () => Deno.remove(home, { recursive: true }),
  };
});
