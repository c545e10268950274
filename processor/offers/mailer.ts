import type { OutgoingMail } from "./core/discount_email.ts";

/**
 * What became of one attempt. `serverAnswer` is the server's, without addresses.
 *
 * `relay` says that the trouble is the relay's and not this mail's (connection, TLS, EHLO, AUTH, MAIL FROM): no attempt
 * is used. `claimed` says whether the claim had been published when the answer came.
 */
export type SendOutcome =
  | { readonly is: "accepted"; readonly serverAnswer: string }
  | { readonly is: "deferred"; readonly serverAnswer: string; readonly claimed: boolean }
  | { readonly is: "refused"; readonly serverAnswer: string; readonly claimed: boolean }
  | { readonly is: "relay"; readonly serverAnswer: string }
  /** The claim did not hold: broken off, nothing was sent. */
  | { readonly is: "void" }
  /** Claimed, and it cannot be known whether the server took it. */
  | { readonly is: "unknown"; readonly serverAnswer: string };

/**
 * The port to what delivers mail. A mail goes out only after its claim held; what became of it is a {@link
 * SendOutcome}, never a rejection.
 */
export interface Mailer {
  readonly kind: "smtp" | "maildir";
  /**
   * Sends one mail. `claim` is called once everything but the final dot (or the rename into place) has been done; only
   * if it resolves with true the mail is let go. If it resolves with false or rejects, nothing is sent.
   * Gives up 45 s after the claim, and looks again right before the dot.
   */
  send(mail: OutgoingMail, claim: () => Promise<boolean>): Promise<SendOutcome>;
  /** What became of a message that an earlier run on this DATA_DIR claimed; asked about nothing else. */
  outcomeOf(messageId: string): Promise<"accepted" | "not_sent" | "unknown">;
  close(): Promise<void>;
}
