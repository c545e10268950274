import { systemClock } from "../../../../runtime/clock.ts";
import type { CurrentDataset } from "../../reading/reader.ts";
import type { ObjectsConfig } from "../config.ts";
import { openS3 } from "../s3/client.ts";
import { CurrentObjects } from "./current.ts";

/** So long a command waits for the bucket before it gives up, in ms: its client tries again by itself. */
const COMMAND_MS_MAX = 600_000;

/** The dataset in a bucket for who looks again and again. Asks the bucket nothing yet. */
export async function openCurrentObjects(
  config: ObjectsConfig,
  { waits = false } = {},
): Promise<CurrentDataset> {
  return new CurrentObjects(await openS3(config), {
    clock: systemClock,
    linesBytesMax: 2 * config.objectBytes,
    ...waits ? { lookMsMax: COMMAND_MS_MAX } : {},
  });
}
