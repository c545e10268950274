import { useSignal } from "@preact/signals";
import { count } from "../core/format.ts";
import { Sanitised } from "./Sanitised.tsx";

/** Characters shown before somebody asks for the whole; and at most, because a prompt may have a mebibyte. */
const SHORT = 320;
const LONG = 20_000;

/** A text that users wrote, cut where it is long; `sanitised` marks its placeholders. */
export function LongText({ text, sanitised = false }: { text: string; sanitised?: boolean }) {
  const open = useSignal(false);
  const cut = text.length > SHORT + 40 && !open.value;
  const shown = text.slice(0, cut ? SHORT : LONG);
  return (
    <span class="text" dir="auto">
      {sanitised ? <Sanitised text={shown} /> : shown}
      {shown.length < text.length && "… "}
      {cut && (
        <button type="button" class="link" onClick={() => open.value = true}>
          all {count(text.length)} characters
        </button>
      )}
    </span>
  );
}
