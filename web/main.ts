import { App, staticFiles } from "fresh";
import { policy } from "./server/policy.tsx";
import { relay, RELAY_PATH } from "./server/relay.ts";
import { unsubscribe } from "./server/unsubscribe.ts";
import { settings, type State } from "./utils.ts";

export const app = new App<State>();

app.use(staticFiles());

// PostHog's endpoints end in a slash, which file routes do not match; and what comes from other services keeps its own
// headers, so both stand before our policy.
app.all(`${RELAY_PATH}/*`, (ctx) => {
  const address = ctx.info.remoteAddr as Partial<Deno.NetAddr> | undefined;
  return relay(ctx.req, { posthogUrl: settings().posthogUrl, clientAddress: address?.hostname ?? null });
});
app.get("/unsubscribe", (ctx) => unsubscribe(ctx.req, settings()));
app.post("/unsubscribe", (ctx) => unsubscribe(ctx.req, settings()));

app.use(policy);
app.fsRoutes();
