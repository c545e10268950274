import type { RedriveNote } from "../core/redrive_text.ts";

const SIGNS = { ok: "●", warn: "◆", bad: "✕" } as const;

/** What came of the form that led to this page. */
export function RedriveNoteView({ note: { tone, text } }: { note: RedriveNote }) {
  return (
    <p id="outcome" class={`banner ${tone}`} role="status" tabIndex={-1}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {text}
    </p>
  );
}
