import { startFakes } from "./tests/web/fakes.ts";
import { startWeb } from "./tests/web/start_web.ts";
import { fillPages } from "./tests/web/full_pages.ts";
const fakes = startFakes();
const web = await startWeb(fakes.environment);
if (Deno.args[0] !== "empty") await fillPages(fakes);
console.log(web.origin);
Deno.addSignalListener("SIGINT", async () => {
  await web.stop();
  Deno.exit(0);
});
setInterval(() => {}, 1e6);
