import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** Copies a text; where the browser does not allow that, shows it selected. */
export default function CopyButton({ text, label = "copy" }: { text: string; label?: string }) {
  const state = useSignal<"idle" | "copied" | "shown">("idle");
  const shown = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (state.value === "shown") shown.current?.select();
  }, [state.value]);

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      state.value = "copied";
      setTimeout(() => state.value = "idle", 2_000);
    } catch {
      state.value = "shown";
    }
  };
  return (
    <>
      <button type="button" class="link" onClick={copy}>{state.value === "copied" ? "copied" : label}</button>
      {state.value === "shown" && (
        <textarea ref={shown} class="mono" rows={4} readOnly aria-label="Text to copy">{text}</textarea>
      )}
    </>
  );
}
