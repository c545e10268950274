import { describe, expect, it } from "vitest";
import { signatureHeaders, signingKey } from "./webhook_signature.ts";

describe("a signed webhook", () => {
  it("carries the signature of PostHog's own test vector", () => {
    const key = signingKey("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")!;
    const body = new TextEncoder().encode('{"event":{"event":"feature_used"}}');
    const id = "0190a000-0000-7000-8000-000000000001";
    expect(signatureHeaders(body, { key, id, at: 1767225600_999 })).toEqual({
      "webhook-id": id,
      "webhook-timestamp": "1767225600",
      "webhook-signature": "v1,YgLg5gOD70X4wZSuaueliF+HyMvfiqMbbXXtUDN2AbM=",
    });
  });

  it("has a key of at least 24 bytes in base64, with or without the prefix", () => {
    const encoded = (bytes: number) => btoa("k".repeat(bytes));
    expect(signingKey(encoded(24))).toEqual(signingKey(`whsec_${encoded(24)}`));
    expect(signingKey(encoded(24))).toHaveLength(24);
    expect(signingKey(encoded(23))).toBeNull();
    expect(signingKey("whsec_not base64 at all, but long enough")).toBeNull();
  });
});
