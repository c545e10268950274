import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createEmailProofs } from "../contract/email_proof.ts";

const PAGE = readFileSync(new URL("../docs/identity.md", import.meta.url), "utf8");

const SECRET = "what only the server knows";
const [ID, SAID] = ["user 7 – Zoë", "Zoë+x@Example.org"] as const;

/** How each of the page's languages is run, and what prints its proof of `ID` and `SAID`. */
const LANGUAGES = {
  ts: { run: [Deno.execPath(), "run", "--allow-env"], print: "console.log(emailProof(ID, SAID));" },
  python: { run: ["python3"], print: "print(email_proof(ID, SAID))" },
  php: { run: ["php"], print: "echo email_proof(ID, SAID);" },
} as const;

function isThere(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("the proof of docs/identity.md", () => {
  for (const [language, { run, print }] of Object.entries(LANGUAGES)) {
    const [command, ...flags] = run;
    it.skipIf(!isThere(command!))(`in ${language} is the one that the processor checks`, () => {
      const example = new RegExp(`\\n\`\`\`${language}\\n(.*?)\\n\`\`\`\\n`, "s").exec(PAGE)![1]!;
      expect(example.split("\n").length).toBeLessThanOrEqual(12);
      const call = print.replace("ID", JSON.stringify(ID)).replace("SAID", JSON.stringify(SAID));
      const dir = mkdtempSync(join(tmpdir(), "readme-"));
      try {
        const file = join(dir, `example.${language}`);
        writeFileSync(file, `${example}\n\n${call}\n`);
        const env = { ...process.env, IDENTITY_SECRET: SECRET, PYTHONUTF8: "1" };
        const printed = execFileSync(command!, [...flags, file], { encoding: "utf8", env });
        expect(printed.trim()).toBe(createEmailProofs(SECRET).make(ID, SAID));
      } finally {
        rmSync(dir, { recursive: true });
      }
    });
  }
});
