import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { uuidOf } from "../../contract/envelope.ts";

/** A name-based UUID (RFC 9562, version 5): the same namespace and name always give the same id. */
export function uuidV5(name: string, { namespace }: { namespace: string }): string {
  const namespaceBytes = Buffer.from(namespace.replaceAll("-", ""), "hex");
  return uuidOf(hash("sha1", Buffer.concat([namespaceBytes, Buffer.from(name, "utf8")]), "buffer"), 5);
}
