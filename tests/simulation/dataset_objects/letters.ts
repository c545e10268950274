import type { TopicRecord } from "../../../topic/topic.ts";

/** Where the record lies that a dead letter was made of. */
export function readLetterPosition({ headers }: TopicRecord) {
  return { partition: Number(headers["source-partition"]), offset: Number(headers["source-offset"]) };
}
