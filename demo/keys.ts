/** Keys that do something as soon as they are pressed, while the terminal stays as it was for everything else. */

export type Keys = {
  /** As `stty` reads it: how the terminal was before; null where nobody could say. */
  readonly terminal: string | null;
  /** The terminal is as it was; may be called twice. */
  restore(): void;
};

/**
 * Hands every key to `pressed`, one character each; Ctrl-C and Ctrl-Z do what they always do. Null where this is no
 * terminal, or another program has it: one that runs in the background would be stopped for asking.
 */
export function readKeys(pressed: (key: string) => void): Keys | null {
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal() || !isInForeground()) return null;
  const terminal = terminalNow();
  let isOver = false;
  const set = (raw: boolean) => {
    try {
      Deno.stdin.setRaw(raw, { cbreak: true });
    } catch {
      // The terminal has gone, and needs nothing any more.
    }
  };
  const restore = () => {
    if (isOver) return;
    isOver = true;
    set(false);
  };
  set(true);
  // However this process comes to its end by itself.
  globalThis.addEventListener("unload", restore);
  // Behind Ctrl-Z the shell has set the terminal as it likes it.
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGCONT", () => {
      if (!isOver && isInForeground()) set(true);
    });
  }
  void (async () => {
    const bytes = new Uint8Array(64);
    for (let read; !isOver && (read = await Deno.stdin.read(bytes).catch(() => null)) !== null;) {
      for (const key of new TextDecoder().decode(bytes.subarray(0, read))) if (!isOver) pressed(key);
    }
  })();
  return { terminal, restore };
}

/** For whoever must restore it when this process was killed. */
function terminalNow(): string | null {
  try {
    const { success, stdout } = new Deno.Command("stty", {
      args: ["-g"],
      stdin: "inherit",
      stdout: "piped",
      stderr: "null",
    }).outputSync();
    const settings = new TextDecoder().decode(stdout).trim();
    return success && /^[\w:.=,-]{1,500}$/.test(settings) ? settings : null;
  } catch {
    return null;
  }
}

/** proc(5): the terminal's foreground group is ours; also true where nobody can say. */
function isInForeground(): boolean {
  try {
    const stat = Deno.readTextFileSync("/proc/self/stat");
    const [, , , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 1).split(" ");
    return group === foreground;
  } catch {
    return true;
  }
}
