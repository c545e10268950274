import { printable } from "../runtime/printable.ts";
import { painted, type Style } from "../runtime/terminal.ts";

/** What the demo shows of itself at a terminal. Pure. */

export type StartBlock = {
  readonly seconds: string;
  readonly page: string;
  readonly dataDir: string;
  /** Whether keys are heeded, and whether there is anything to break. */
  readonly keys: boolean;
  readonly breaks: boolean;
  readonly colours: boolean;
};

/** One aligned block: where the page is, where the data lies, what to do next, which keys do something. */
export function startBlock({ seconds, page, dataDir, keys, breaks, colours }: StartBlock): readonly string[] {
  const paint = (text: string, style: Style) => colours ? painted(text, style) : text;
  const key = (name: string, words: string) => `${paint(name, "bold")} ${words}`;
  const named = [key("o", "open the page"), ...breaks ? [key("b", "break something")] : [], key("q", "quit")];
  const next = breaks && keys
    ? "click a button on the page, press b, and watch nothing get lost"
    : "click a button on the page and watch where its event goes";
  const rows: readonly (readonly [string, string])[] = [
    ["Page", paint(printable(page), "green")],
    ["Data", printable(dataDir)],
    ["Next", next],
    ["Keys", keys ? named.join(" · ") : "Ctrl-C stops all of it"],
  ];
  return [
    "",
    `  ${paint("Pipeline", "bold")}  ready in ${seconds} s`,
    "",
    ...rows.map(([name, words]) => `  ${paint("➜", "green")}  ${paint(`${name}:`, "bold")}  ${words}`),
    "",
  ];
}

/** What opens an address in the browser of whoever sits at this machine. */
export function openCommand(os: typeof Deno.build.os, url: string): readonly [string, ...string[]] {
  if (os === "darwin") return ["open", url];
  if (os === "windows") return ["cmd", "/c", "start", "", url];
  return ["xdg-open", url];
}
