/** What the demo's panel is told, and its names. Pure. */

/** Kept where it stands until it is thrown again (`stays`), or done once. */
export const SWITCHES = [
  { name: "kill-processor", label: "Kill the processor", is: "once" },
  { name: "kill-ingest", label: "Kill ingest", is: "once" },
  { name: "mail-refuses", label: "Mail server refuses", is: "pressed" },
  { name: "send-broken", label: "Send something broken", is: "once" },
  { name: "pause-deliveries", label: "Pause deliveries", is: "switch" },
  { name: "deliver-twice", label: "Deliver twice", is: "switch" },
  { name: "out-of-order", label: "Out of order", is: "switch" },
  { name: "drop-deliveries", label: "Drop deliveries", is: "switch" },
] as const;

export type Switch = (typeof SWITCHES)[number];

/** `GET /api/proof`: totals that never go back, and in words whether they agree. */
export type Proof = Readonly<Record<(typeof FIGURES)[number]["name"], number>> & {
  readonly dropped: number;
  readonly agree: boolean;
  readonly words: string;
  readonly switches: Readonly<Record<Switch["name"], boolean>>;
};

export const FIGURES = [
  { name: "sent", label: "sent" },
  { name: "delivered", label: "delivered" },
  { name: "durable", label: "durable" },
  { name: "lines", label: "lines" },
  { name: "deadLetters", label: "dead letters" },
  { name: "duplicates", label: "duplicates dropped" },
  { name: "mails", label: "mails" },
] as const;
