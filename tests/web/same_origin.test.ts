import { describe, expect, test } from "vitest";
import { isOwnPage } from "../../web/server/same_origin.ts";

const HOSTS = { publicHost: "pipeline.example", allowedHosts: ["192.168.1.7"] };

const isOwn = (host: string, origin: string | null) =>
  isOwnPage(
    new Request("http://x/", {
      method: "POST",
      headers: { host, ...(origin === null ? {} : { origin }) },
    }),
    HOSTS,
  );

describe("a form is this site's own", () => {
  test.each([
    ["localhost:8000", "http://localhost:8000"],
    ["127.0.0.1:8000", "http://127.0.0.1:8000"],
    ["[::1]:8000", "http://[::1]:8000"],
    ["192.168.1.7:8000", "http://192.168.1.7:8000"],
    ["pipeline.example", "https://pipeline.example"],
  ])("at %s, sent by %s", (host, origin) => {
    expect(isOwn(host, origin)).toBe(true);
  });
});

describe("a form is not this site's own", () => {
  test.each([
    ["without an origin", "localhost:8000", null],
    ["of another site", "localhost:8000", "https://evil.example"],
    ["of another port", "localhost:8000", "http://localhost:8001"],
    ["of a sandboxed page", "localhost:8000", "null"],
    ["under a name that somebody turned to this machine", "evil.example:8000", "http://evil.example:8000"],
    [
      "under a name that only looks like an address",
      "127.0.0.1.evil.example",
      "http://127.0.0.1.evil.example",
    ],
  ])("%s", (_, host, origin) => {
    expect(isOwn(host, origin)).toBe(false);
  });
});
