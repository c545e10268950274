import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { ObjectStoreAwayError, ObjectStoreSetupError } from "../object_store.ts";
import { S3Requests } from "./requests.ts";

const requests = () =>
  new S3Requests(new S3Client({ region: "r" }), { bucket: "b", prefix: "p", requestsMax: 1 });
const noCredentials = () =>
  Promise.reject(Object.assign(new Error("none"), { name: "CredentialsProviderError" }));

describe("Requests to a bucket", () => {
  it("have their keys below the prefix", () => {
    const below = requests();
    expect(below.inBucket("a/1")).toBe("p/a/1");
    expect(below.keyOf("p/a/1")).toBe("a/1");
    expect(below.named("a")).toBe('"a" in s3://b/p');
  });

  it("are for an operator to mend without credentials, and tried again where there were some", async () => {
    const one = requests();
    await expect(one.ask("look", noCredentials)).rejects.toThrow(ObjectStoreSetupError);
    await one.ask("look", () => Promise.resolve());
    await expect(one.ask("look", noCredentials)).rejects.toThrow(ObjectStoreAwayError);
  });

  it("list page after page, and are no listing where a server does not say how to go on", async () => {
    const pages = [{ IsTruncated: true, next: "a" }, { IsTruncated: true, next: "b" }, {
      IsTruncated: false,
    }];
    const asked: unknown[] = [];
    const list = (all: typeof pages) =>
      Array.fromAsync(
        requests().pages("list", {
          page: (_, marker: { from: string | undefined } | undefined) => {
            asked.push(marker?.from);
            return Promise.resolve(all[asked.length - 1]!);
          },
          markerOf: ({ next }) => ({ from: next }),
        }),
      );
    expect(await list(pages)).toEqual(pages);
    expect(asked.splice(0)).toEqual([undefined, "a", "b"]);
    await expect(list([{ IsTruncated: true }])).rejects.toThrow("there is more, and not where");
  });
});
