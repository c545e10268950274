import { expect, test } from "vitest";
import { editedHeaders } from "../../contract/dead_letter.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { erasedBy, ownershipOf } from "./person.ts";

const hashes = createKeyedHashes("x".repeat(43));
const bytes = (text: string) => new TextEncoder().encode(text);
const eventOf = (distinctId: string) =>
  bytes(JSON.stringify({ event: { event: "generation_failed", distinct_id: distinctId, properties: {} } }));

test("an edited copy is whose its new value says, whatever key it keeps of its source", () => {
  const letter = {
    ...{ id: "0:1", source: { topic: "posthog.webhooks", partition: 0, offset: 7 }, reason: "no text" },
    ...{ step: "parse", firstSeen: "", redrives: 0, headers: { id: "a", event: "generation_failed" } },
  };
  const headers = editedHeaders(letter, { id: "a", event: "generation_failed" });
  const copy = { key: bytes("source"), value: eventOf("victim"), headers };
  const ownership = (name: string) => ownershipOf(copy, erasedBy([hashes.subject(name)], hashes));
  expect(ownership("victim")).toMatchObject({ is: "theirs", envelope: { distinctId: "victim" } });
  expect(ownership("source")).toMatchObject({ is: "theirs" });
  expect(ownership("somebody-else")).toBe(null);
});
