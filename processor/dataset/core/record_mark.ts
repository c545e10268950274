import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { isScrubbed, type ReadRecord } from "../../../contract/dead_letter.ts";

/** The record that a chunk ended with, to tell the log that it came from. `sha256` is of its key, value and timestamp. */
export type RecordMark = { readonly offset: number; readonly timestamp: number; readonly sha256: string };

/** A record as the manifest remembers it, so that another topic of the same name is told from the one before. */
export function markOf(record: ReadRecord): RecordMark {
  const { offset, timestamp, key, value } = record;
  const parts = [`${timestamp} ${key?.length ?? -1} `, key ?? "", value];
  return { offset, timestamp, sha256: hash("sha256", Buffer.concat(parts.map((part) => Buffer.from(part)))) };
}

/** Whether this is the record that was there: one that an erasure has emptied keeps offset and timestamp only. */
export function isMarked(mark: RecordMark, record: ReadRecord): boolean {
  if (record.offset !== mark.offset || record.timestamp !== mark.timestamp) return false;
  return isScrubbed(record) || markOf(record).sha256 === mark.sha256;
}
