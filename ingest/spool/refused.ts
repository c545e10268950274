import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { DISMISSED_NAME_END, REFUSED_NAME_END, refusedFile } from "../../contract/refused_webhook.ts";
import { ifThere, readIfThere } from "../../runtime/durable_file.ts";
import type { SpoolFiles } from "./files.ts";

/** Webhooks that the log refused for good, each in a file of its own; `deno task dead-letters` lists and redrives them. */
export class RefusedWebhooks {
  /** As far as was last looked, without those that were dismissed: a redrive or an erasure takes files away. */
  records = 0;
  #bytes = 0;

  constructor(private readonly files: SpoolFiles, private readonly bytesMax: number) {
    this.look();
  }

  /** Counts what lies there now. */
  look(): void {
    const directory = join(this.files.directory, "refused");
    const all = new Set([...ifThere(() => [...Deno.readDirSync(directory)]) ?? []].map(({ name }) => name));
    const names = [...all].filter((name) => name.endsWith(REFUSED_NAME_END));
    this.records = names.filter((name) => !all.has(name + DISMISSED_NAME_END)).length;
    this.#bytes = names.reduce(
      (sum, name) => sum + (ifThere(() => Deno.statSync(join(directory, name)).size) ?? 0),
      0,
    );
  }

  /** Keeps a record, durably, and never in the place of another. Answers the path. */
  async keep(record: EnvelopeRecord, { at, reason }: { at: string; reason: string }): Promise<string> {
    const bytes = refusedFile({ record, reason });
    let name = `${at}${REFUSED_NAME_END}`;
    for (let n = 2;; n++) {
      const path = join(this.files.directory, "refused", name);
      const there = readIfThere(path);
      if (there === null) break;
      // After a crash before the mark the same one comes again.
      if (Buffer.from(there).equals(bytes)) return path;
      name = `${at}-${n}${REFUSED_NAME_END}`;
    }
    if (this.#bytes + bytes.length > this.bytesMax) this.look();
    if (this.#bytes + bytes.length > this.bytesMax) {
      throw new Error(
        `Cannot set a webhook aside that the log refuses (${reason}): ${this.records} of them fill ` +
          `${this.bytesMax} bytes. Mend the cause, then run \`deno task dead-letters redrive --all\`; of dismissed ones delete the files.`,
      );
    }
    const path = await this.files.setAside(name, bytes);
    this.records++;
    this.#bytes += bytes.length;
    return path;
  }
}
