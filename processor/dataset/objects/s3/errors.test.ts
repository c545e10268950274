import { describe, expect, test } from "vitest";
import { ObjectStoreAwayError, ObjectStoreSetupError } from "../object_store.ts";
import { storeError } from "./errors.ts";

/** As the SDK throws what a server has answered. */
const answer = (status: number, name: string, message = "said") => ({
  name,
  message,
  $metadata: { httpStatusCode: status },
});
const thrown = (more: { readonly code?: string; readonly name?: string }) =>
  Object.assign(new Error("it says"), more);

describe("An error of the SDK", () => {
  test.each([
    [answer(503, "SlowDown")],
    [answer(500, "InternalError")],
    [answer(429, "TooManyRequests")],
    [answer(412, "PreconditionFailed")],
    [answer(409, "ConditionalRequestConflict")],
    [answer(408, "RequestTimeout")],
    [answer(400, "RequestTimeout")],
    [answer(400, "IncompleteBody")],
    [thrown({ code: "ECONNREFUSED" })],
    [thrown({ code: "ENOTFOUND" })],
    [thrown({ code: "ECONNRESET" })],
    [thrown({ name: "TimeoutError" })],
    ["a text"],
  ])("is a store that is away: %o", (error) => {
    const said = storeError(error, 'list "a/" in s3://b');
    expect(said).toBeInstanceOf(ObjectStoreAwayError);
    expect(said.message).toMatch(/^Cannot list "a\/" in s3:\/\/b: .*It is tried again/);
    expect(said.cause).toBe(error);
  });

  test.each([
    [answer(404, "NoSuchBucket"), /Make the bucket/],
    [answer(403, "AccessDenied"), /Check the credentials/],
    [answer(403, "InvalidAccessKeyId"), /Check the credentials/],
    [answer(403, "SignatureDoesNotMatch"), /Check the credentials/],
    [answer(301, "PermanentRedirect"), /Set AWS_REGION/],
    [answer(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong"), /Set AWS_REGION/],
    [new Error("Region is missing"), /Set AWS_REGION/],
    [answer(501, "NotImplemented"), /Take a server/],
    [answer(400, "InvalidRequest"), /Correct DATASET_URL/],
    [thrown({ name: "CredentialsProviderError" }), /AWS_ACCESS_KEY_ID/],
    [new Error("invalid peer certificate: UnknownIssuer"), /DENO_CERT/],
    [thrown({ name: "NotCapable" }), /deno\.json/],
  ])("is for an operator to mend: %o", (error, toDo) => {
    const said = storeError(error, "open s3://b");
    expect(said).toBeInstanceOf(ObjectStoreSetupError);
    expect(said.message).toMatch(/^Cannot open s3:\/\/b: /);
    expect(said.message).toMatch(toDo);
  });
});
