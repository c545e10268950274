import { describe, expect, test } from "vitest";
import { createEmailProofs } from "../../contract/email_proof.ts";
import { proofsOf } from "../../web/server/identity.ts";

const SECRET = "a secret of the demo";
const WHO = { distinctId: "user-1", anonymousId: "anon-1", email: "Ada@Example.org" };

function ask({ secret = SECRET, origin = "http://localhost:8000", body = JSON.stringify(WHO) }: {
  secret?: string | null;
  origin?: string;
  body?: string;
}): Promise<Response> {
  const request = new Request("http://localhost:8000/api/identity", {
    method: "POST",
    headers: { origin, host: "localhost:8000" },
    body,
  });
  return proofsOf(request, {
    identitySecret: secret,
    console: { publicHost: "localhost", allowedHosts: [], password: null, anonymous: false },
  });
}

describe("the demo's proofs", () => {
  test("are those that the processor checks", async () => {
    const proofs = createEmailProofs(SECRET);
    expect(await (await ask({})).json()).toEqual({
      email: proofs.make("user-1", "Ada@Example.org"),
      join: proofs.make("user-1", "anon-1"),
    });
  });

  test("are made outside the demo for nobody, and for no other page", async () => {
    expect((await ask({ secret: null })).status).toBe(204);
    expect((await ask({ origin: "http://evil.example" })).status).toBe(403);
  });

  test.each(["", "{", "{}", "null", `{"distinctId":1,"anonymousId":"a","email":"b"}`])(
    "are not made of %j",
    async (body) => expect((await ask({ body })).status).toBe(400),
  );
});
