/** What tools may know of the dead letters: the list, a letter's record, a redrive, a dismissal, and which positions have a letter. */

export { DeadLetterList, findLetter, letterView, type ListedLetter } from "./list.ts";
export { DISMISSAL_WORDS_MAX } from "../../contract/processor_api.ts";
export { dismiss, type DismissOutcome } from "./dismiss.ts";
export { DeadLetterIndex } from "./positions.ts";
export { letterRecord } from "./records.ts";
export { isWornOut, redrive, type RedriveOutcome, REDRIVES_MAX, whyNever, WORN_OUT } from "./redrive.ts";
export {
  dismissedText,
  dismissRefused,
  type ListedRefused,
  redriveRefused,
  REFUSED_ID,
  refusedRecord,
  refusedView,
  refusedWebhooks,
} from "./refused.ts";
