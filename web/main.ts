import { App, staticFiles } from "fresh";
import { consoleWarnings } from "../contract/door.ts";
import { turnedAway } from "./server/door.ts";
import { isReadable, nowhere } from "./server/path.ts";
import { policy } from "./server/policy.tsx";
import { createRelay, RELAY_PATH } from "./server/relay.ts";
import { unsubscribe } from "./server/unsubscribe.ts";
import { settings, type State } from "./utils.ts";

export const app = new App<State>();

app.use(policy);
app.use(staticFiles());

const relay = createRelay();
// PostHog's endpoints end in a slash, which file routes do not match.
app.all(`${RELAY_PATH}/*`, (ctx) => {
  const address = ctx.info.remoteAddr as Partial<Deno.NetAddr> | undefined;
  return relay(ctx.req, { posthogUrl: settings().posthogUrl, clientAddress: address?.hostname ?? null });
});
app.get("/unsubscribe", (ctx) => unsubscribe(ctx.req, settings()));
app.post("/unsubscribe", (ctx) => unsubscribe(ctx.req, settings()));

app.fsRoutes();

// In front of the router, which serves files and reads addresses before any middleware runs: one that it cannot read would
// end in a bare 500.
const routed = app.handler.bind(app);
app.handler = () => {
  const answer = routed();
  for (const words of consoleWarnings(settings().console, Deno.env.get("HOST") || "127.0.0.1")) {
    console.warn(words);
  }
  return async (request, info) =>
    turnedAway(request, info, settings().console) ??
      await answer(isReadable(request) ? request : nowhere(), info);
};
