/** What tools may know of the offers: the view as it is shown, when it is up to date, mailboxes, and the mails' files. */

export { raiseBarrier } from "./barrier.ts";
export { readAddress } from "./core/mailbox.ts";
export { writesOptOut } from "./core/product_event.ts";
export { mailFileName, mailFiles, removeMails } from "./mail/files.ts";
export { openOfferStoreReader } from "./sqlite/open.ts";
export { openOfferStatusReader } from "./sqlite/open_status.ts";
export type { ListedOffer, OfferStatusReader } from "./sqlite/status_reader.ts";
