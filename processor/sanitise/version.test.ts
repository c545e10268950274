import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { SANITISER_VERSION } from "./mod.ts";

/** Digests were once over names and imports too; the version of then holds for as long as its rules do. */
const OF_OLD = { digest: "62623859acfc", version: "1-838cbde1fb83" };

const isOfRules = (name: string) =>
  name.endsWith(".ts") && !name.endsWith(".test.ts") && name !== "version.ts";
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** Rules, not names of files or imports: a move is no other behaviour. */
function rulesIn(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return name === "testdata" ? [] : rulesIn(new URL(`${name}/`, folder));
    if (!isOfRules(name)) return [];
    const text = Deno.readTextFileSync(new URL(name, folder));
    return text.replaceAll(/^(?:import\b[^;]*|export (?:type )?\{[^}]*\} from "[^"]+");\n/gm, "");
  });
}

test("the sanitiser's version names its rules as they are", () => {
  const rules = rulesIn(new URL(".", import.meta.url));
  expect(rules.length).toBeGreaterThan(15);
  const digest = digestOf(rules.map(digestOf).sort().join("\n")).slice(0, 12);
  expect(SANITISER_VERSION).toBe(digest === OF_OLD.digest ? OF_OLD.version : `1-${digest}`);
});
