import { describe, expect, test } from "vitest";
import { App } from "./app.ts";
import { HttpError } from "./error.ts";

const ask = (app: App<unknown>, path: string, init?: RequestInit) =>
  app.handler()(new Request(`http://app.test${path}`, init));
const refuse = () => Promise.reject(new HttpError(404));

describe("where no route matches", () => {
  test("ctx.next() throws before there is a promise, so its catch() never runs", async () => {
    const app = new App().use((ctx) => ctx.next().catch(() => new Response("caught"))).get("/there", refuse);
    expect(await (await ask(app, "/there")).text()).toBe("caught");
    for (const [path, method, status] of [["/nowhere", "GET", 404], ["/there", "PUT", 405]] as const) {
      const response = await ask(app, path, { method });
      expect([response.status, await response.text()]).not.toContain("caught");
      expect(response.status).toBe(status);
    }
  });

  test("an await around ctx.next() has the error, thrown or rejected", async () => {
    const app = new App()
      .use((ctx) => (async () => await ctx.next())().catch((error) => new Response(`caught ${error.status}`)))
      .get("/there", refuse);
    for (const path of ["/there", "/nowhere"]) {
      expect(await (await ask(app, path)).text()).toBe("caught 404");
    }
  });
});

describe("a path that cannot be decoded", () => {
  const MALFORMED = "/offers/%E0%A4%A";

  test("rejects before any middleware runs, which the server answers with a bare 500", async () => {
    let ran = false;
    const app = new App()
      .use((ctx) => {
        ran = true;
        return ctx.next();
      })
      .get("/offers/:id", (ctx) => ctx.text(ctx.params.id!));
    await expect(ask(app, MALFORMED)).rejects.toThrow(URIError);
    expect(ran).toBe(false);
    expect((await ask(app, "/nowhere/%E0%A4%A")).status).toBe(404);
  });

  test("is answered by an app that overrides handler(), and by nothing else", async () => {
    class Guarded extends App<unknown> {
      override handler(): ReturnType<App<unknown>["handler"]> {
        const inner = super.handler();
        return (request, info) =>
          inner(request, info).catch((error) => new Response(error.name, { status: 404 }));
      }
    }
    const response = await ask(new Guarded().get("/offers/:id", (ctx) => ctx.text("")), MALFORMED);
    expect([response.status, await response.text()]).toEqual([404, "URIError"]);
    const catchAll = new App().all("/*", (ctx) => ctx.text("all")).get("/offers/:id", (ctx) => ctx.text(""));
    await expect(ask(catchAll, MALFORMED)).rejects.toThrow(URIError);
  });
});
