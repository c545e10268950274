/** `deno task web` as a process of its own, on any free port. */
export async function startWeb(environment: Record<string, string>) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../serve_web/main.ts", import.meta.url).pathname],
    env: { FRESH: "npm", ...Deno.env.toObject(), HOST: "127.0.0.1", WEB_PORT: "0", ...environment },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let stopped = false;
  let said = "";
  while (!said.includes("\n")) {
    const { value, done } = await output.read();
    if (done) throw new Error("Cannot start web: it ended without saying where it listens.");
    said += value;
  }
  return {
    origin: `http://127.0.0.1:${/http:\/\/localhost:(\d+)/.exec(said)![1]}`,
    /** A second time it does nothing. */
    async stop() {
      if (stopped) return;
      stopped = true;
      child.kill("SIGTERM");
      await output.cancel();
      await child.status;
    },
  };
}
