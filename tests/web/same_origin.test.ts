import { describe, expect, test } from "vitest";
import { isOwnPage } from "../../web/server/same_origin.ts";

const isOwn = (host: string, origin: string | null, publicUrl = "http://localhost:8000") =>
  isOwnPage(
    new Request("http://x/", {
      method: "POST",
      headers: { host, ...(origin === null ? {} : { origin }) },
    }),
    { publicUrl },
  );

describe("a form is this site's own", () => {
  test.each([
    ["localhost:8000", "http://localhost:8000", undefined],
    ["127.0.0.1:8000", "http://127.0.0.1:8000", undefined],
    ["[::1]:8000", "http://[::1]:8000", undefined],
    ["192.168.1.7:8000", "http://192.168.1.7:8000", undefined],
    ["pipeline.example", "https://pipeline.example", "https://pipeline.example"],
  ])("at %s, sent by %s", (host, origin, publicUrl) => {
    expect(isOwn(host, origin, publicUrl)).toBe(true);
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
