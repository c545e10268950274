/**
 * Loaded into every service of the demo before its own code: ends the service, as SIGTERM does, once the demo that
 * started it is gone. Otherwise a demo that was killed would leave four processes on its ports, and a terminal that shows
 * nobody what they type.
 */

const PARENT_LOOKED_AT_EVERY_MS = 500;

/** As it was before the demo took its keys; where a shell has restored it meanwhile, the system refuses. */
function restoreTerminal(): void {
  const settings = Deno.env.get("DEMO_TERMINAL");
  if (!settings) return;
  try {
    new Deno.Command("sh", {
      args: ["-c", 'stty "$0" < /dev/tty', settings],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn().unref();
  } catch {
    // There is no shell to ask.
  }
}

const parent = Number(Deno.env.get("DEMO_PID"));
const timer = setInterval(() => {
  if (Deno.ppid === parent) return;
  clearInterval(timer);
  restoreTerminal();
  Deno.kill(Deno.pid, "SIGTERM");
}, PARENT_LOOKED_AT_EVERY_MS);
Deno.unrefTimer(timer);
