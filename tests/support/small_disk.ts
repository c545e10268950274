/** A disk of a few hundred KiB, to be filled: a real tmpfs, which only root may mount. */
export type SmallDisk = {
  readonly path: string;
  /** Takes all that is free. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  remove(): Promise<void>;
};

/** Why there can be none here; null where there can. */
export async function whyNoSmallDisk(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "a small disk is a tmpfs, which is Linux's";
  try {
    await (await smallDisk(64)).remove();
    return null;
  } catch {
    return "this user may not mount a tmpfs";
  }
}

export async function smallDisk(kib: number): Promise<SmallDisk> {
  const path = await Deno.makeTempDir({ prefix: "small-disk-" });
  const ballast = `${path}/ballast`;
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path]);
  } catch (error) {
    await Deno.remove(path);
    throw error;
  }
  return {
    path,
    async fill() {
      using file = await Deno.open(ballast, { create: true, append: true });
      const block = new Uint8Array(4096);
      try {
        for (;;) await file.write(block);
      } catch {
        // It is full.
      }
    },
    free: () => Deno.remove(ballast),
    async remove() {
      await run("umount", [path]);
      await Deno.remove(path);
    },
  };
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}
