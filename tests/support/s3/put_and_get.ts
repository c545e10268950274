import { readProcessorConfig } from "../../../processor/config.ts";
import { openS3 } from "../../../processor/dataset/objects/s3/client.ts";

/** Puts an object where the environment says, and prints what it gets back: what a service's own process may do. */
try {
  const store = await openS3(readProcessorConfig(Deno.env.toObject()).objects!);
  await store.put("here", new TextEncoder().encode("gotten"));
  console.log(new TextDecoder().decode((await store.get("here"))!));
  store.close();
} catch (error) {
  console.log(`${(error as Error).name}: ${(error as Error).message}`);
}
