import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { readCommandConfig } from "../processor/config.ts";
import { readAddress } from "../processor/offers/mod.ts";
import { committedBefore, confirmSecret } from "../processor/facts/identity.ts";
import { publishFacts } from "../processor/facts/topic.ts";
import { pipelineSecret } from "../runtime/data_dir.ts";
import {
  type Command,
  CommandFailedError,
  ofFile,
  print,
  printJson,
  runCommand,
  UsageError,
  withLog,
} from "./command.ts";
import { systemClock } from "../runtime/clock.ts";

/** `deno task suppress FILE`: addresses that never get mail, such as an unsubscribe list from elsewhere. */
export const suppressCommand: Command = {
  help: `Makes addresses never get mail, in whatever spelling.

Usage: deno task suppress FILE [--json]

FILE (- for standard input) holds one address a line; empty lines and lines that begin with # are passed over. What is kept is a keyed hash.
Repeating the command changes nothing.
`,
  async run({ positionals, json, ifStopped }) {
    const [path, ...rest] = positionals;
    if (path === undefined || rest.length > 0) throw new UsageError("Expected one FILE of addresses.");
    const config = readCommandConfig(Deno.env.toObject());
    // Read before a secret is made: with a mistyped FILE nothing is.
    let published = 0;
    ifStopped(() => `${published} addresses are suppressed. The same command again suppresses the rest.`);
    const text = path === "-"
      ? await new Response(Deno.stdin.readable).text()
      : await ofFile(path, (path) => Deno.readTextFile(path));
    const { mailboxes, refused } = readMailboxes(text);
    const hashes = createKeyedHashes(pipelineSecret(config.dataDir, config.pipelineSecret ?? undefined));
    await withLog(config, async (log) => {
      // The first fact names the secret: before it is confirmed these hashes might mean nobody.
      const ranBefore = await committedBefore(log).catch(() => null);
      await confirmSecret(log, { ranBefore, hashes, clock: systemClock });
      const at = Date.now();
      const facts = mailboxes.map((
        one,
      ) => ({ fact: "suppressed", at, mailbox: hashes.mailbox(one) } as const));
      for (let from = 0; from < facts.length; from += FACTS_AT_ONCE_MAX) {
        await publishFacts(log, facts.slice(from, from + FACTS_AT_ONCE_MAX));
        published = Math.min(from + FACTS_AT_ONCE_MAX, facts.length);
      }
    });
    if (json) printJson({ suppressed: mailboxes.length, refused: refused.length });
    else print(`${mailboxes.length} suppressed.`);
    if (refused.length > 0) {
      throw new CommandFailedError(
        `Cannot read line ${refused.join(", ")}: no address. The others are suppressed.`,
      );
    }
  },
};

const FACTS_AT_ONCE_MAX = 100;

/** Normalised mailboxes without repeats, and the numbers of lines that hold no address. */
function readMailboxes(text: string): { readonly mailboxes: string[]; readonly refused: number[] } {
  const mailboxes = new Set<string>();
  const refused: number[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const address = readAddress(entry);
    if (address === null) refused.push(index + 1);
    else mailboxes.add(address.normalised);
  }
  return { mailboxes: [...mailboxes], refused };
}

if (import.meta.main) Deno.exit(await runCommand(suppressCommand, Deno.args));
