import { expect, it, test } from "vitest";
import { browserUrlOf, listen, urlOf } from "./listen.ts";

test.each([
  ["127.0.0.1", "http://127.0.0.1:80", "http://localhost:80"],
  ["0.0.0.0", "http://127.0.0.1:80", "http://localhost:80"],
  ["::1", "http://[::1]:80", "http://localhost:80"],
  ["::", "http://[::1]:80", "http://localhost:80"],
  ["localhost", "http://localhost:80", "http://localhost:80"],
  ["fd00::7", "http://[fd00::7]:80", "http://[fd00::7]:80"],
  ["[fd00::7]", "http://[fd00::7]:80", "http://[fd00::7]:80"],
  ["example.org", "http://example.org:80", "http://example.org:80"],
])("what listens on %s is reached at %s, by a browser at %s", (host, url, browserUrl) => {
  expect([urlOf(host, 80), browserUrlOf(host, 80)]).toEqual([url, browserUrl]);
});

it("listen() serves at its URL, and says what to do where the port is taken", async () => {
  const handler = () => new Response("here");
  const options = { host: "127.0.0.1", portSetting: "CLERK_PORT" };
  const { server, url, port } = listen(handler, { ...options, port: 0 });
  expect(await (await fetch(url)).text()).toBe("here");
  expect(() => listen(handler, { ...options, port })).toThrow(
    new RegExp(
      `^Cannot listen on 127\\.0\\.0\\.1:${port}: the port is taken\\. Stop .*\\. Or take the next free port: CLERK_PORT=\\d+\\.$`,
    ),
  );
  await server.shutdown();
});
