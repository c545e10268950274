import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createEmailProofs } from "./email_proof.ts";

const secret = "an identity secret for tests";
const proofs = createEmailProofs(secret);
const claim = { distinctId: "ada", said: "Ada@Example.org" };

describe("createEmailProofs()", () => {
  it("makes the hex HMAC-SHA256 of the id, a line feed and the address as sent", () => {
    expect(proofs.make("ada", "Ada@Example.org")).toBe(
      createHmac("sha256", secret).update("ada\nAda@Example.org").digest("hex"),
    );
  });

  it("holds for just that id and that address", () => {
    const proof = proofs.make(claim.distinctId, claim.said);
    expect(proofs.holds({ ...claim, proof })).toBe(true);
    expect(proofs.holds({ ...claim, distinctId: "eve", proof })).toBe(false);
    expect(proofs.holds({ ...claim, said: "ada@example.org", proof })).toBe(false);
    expect(createEmailProofs("another identity secret").holds({ ...claim, proof })).toBe(false);
  });

  it.each([null, undefined, 1, "", "x".repeat(64), "ab", ["a"]])("takes %j for no proof", (proof) => {
    expect(proofs.holds({ ...claim, proof })).toBe(false);
  });

  it("takes upper-case hex for no proof", () => {
    const proof = proofs.make(claim.distinctId, claim.said).toUpperCase();
    expect(proofs.holds({ ...claim, proof })).toBe(false);
  });
});

it("no proof holds for an id with a line feed, as it would fit another claim too", () => {
  const proofs = createEmailProofs("a secret");
  const proof = proofs.make("a", "b\nc");
  expect(proofs.holds({ distinctId: "a", said: "b\nc", proof })).toBe(true);
  expect(proofs.holds({ distinctId: "a\nb", said: "c", proof })).toBe(false);
});
