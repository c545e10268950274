import { expect, test } from "vitest";
import { isLoopback } from "./loopback.ts";

test.each(["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])(
  "%s is reached from this machine only",
  (host) => {
    expect(isLoopback(host)).toBe(true);
  },
);

test.each(["0.0.0.0", "::", "192.168.1.4", "example.test", "127.0.0.1.example.test", "128.0.0.1", ""])(
  "%s may be reached by others",
  (host) => {
    expect(isLoopback(host)).toBe(false);
  },
);
