import type { LoopDependencies } from "../loop/loop.ts";
import type { MailSender } from "./core/mail_sender.ts";

/** The rules of the offer, as the environment sets them. */
export type OfferPolicy = {
  /** Distinct uses that earn the offer. */
  readonly threshold: number;
  readonly waitMs: number;
  /** Older events (received − own time) count but never arm a mail. */
  readonly eventAgeMsMax: number;
  readonly retryDelaysMs: readonly number[];
  readonly onUnknown: "hold" | "resend-once";
  readonly mailsPerMinuteMax: number;
  /** `IDENTITY_SECRET` is set: only proven addresses get mail. */
  readonly provenOnly: boolean;
};

/** What each loop of the offers gets. */
export type OfferLoopDependencies = LoopDependencies & {
  readonly config: {
    readonly dataDir: string;
    readonly discount: OfferPolicy;
    readonly mailFrom: MailSender;
    readonly publicUrl: string;
    readonly identitySecret: string | null;
  };
  /** A distinct_id as the dataset has it, for the trace. */
  readonly lineId: (distinctId: string) => string | Promise<string>;
};
