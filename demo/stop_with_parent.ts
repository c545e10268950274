/**
 * Loaded into every service of the demo before its own code: ends the service, as SIGTERM does, once the demo that
 * started it is gone. Otherwise a demo that was killed would leave four processes on its ports.
 */

const PARENT_LOOKED_AT_EVERY_MS = 500;

const parent = Number(Deno.env.get("DEMO_PID"));
const timer = setInterval(() => {
  if (Deno.ppid === parent) return;
  clearInterval(timer);
  Deno.kill(Deno.pid, "SIGTERM");
}, PARENT_LOOKED_AT_EVERY_MS);
Deno.unrefTimer(timer);
