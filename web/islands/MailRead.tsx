import { useEffect } from "preact/hooks";
import { markRead } from "../browser/read_mails.ts";

/** Whoever opens a mail has read it. */
export default function MailRead({ messageId }: { messageId: string }) {
  useEffect(() => markRead([messageId]), [messageId]);
  return null;
}
