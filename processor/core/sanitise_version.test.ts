import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { SANITISER_VERSION } from "./sanitise.ts";

test("the sanitiser's version names its sources as they are", () => {
  const folder = new URL(".", import.meta.url);
  const sources = [...Deno.readDirSync(folder)].map((entry) => entry.name)
    .filter((name) => /^sanitise(?:_\w+)?\.ts$/.test(name) && !/_(?:version|samples)\.ts$/.test(name)).sort();
  const hash = createHash("sha256");
  for (const name of sources) hash.update(`${name}\0${Deno.readTextFileSync(new URL(name, folder))}\0`);
  expect(SANITISER_VERSION).toBe(`1-${hash.digest("hex").slice(0, 12)}`);
});
