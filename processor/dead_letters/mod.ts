/** What tools may know of the dead letters: the list, a letter's record, a redrive, and which positions have a letter. */

export { DeadLetterList, findLetter, letterView, type ListedLetter } from "./list.ts";
export { DeadLetterIndex } from "./positions.ts";
export { letterRecord } from "./records.ts";
export { isWornOut, redrive, REDRIVES_MAX, whyNever, WORN_OUT } from "./redrive.ts";
export {
  type ListedRefused,
  redriveRefused,
  REFUSED_ID,
  refusedRecord,
  refusedView,
  refusedWebhooks,
} from "./refused.ts";
