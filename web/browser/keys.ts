/** Single keys of the live page: off while somebody types, and for who has turned them off. */
import { signal } from "@preact/signals";

const OFF = "pipeline.keys_off";

export const keysOn = signal(true);

export function turnKeys(on: boolean): void {
  keysOn.value = on;
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
}

/** Calls what a key is for; returns how to stop. A key whose handler answers false is left to the browser. */
export function onKeys(handlers: Readonly<Record<string, () => boolean | void>>): () => void {
  keysOn.value = localStorage.getItem(OFF) === null;
  const onKey = (event: KeyboardEvent) => {
    if (!keysOn.value || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTypedInto(event.target) || document.querySelector("dialog[open]")) return;
    const handler = Object.hasOwn(handlers, event.key) ? handlers[event.key] : undefined;
    if (handler && handler() !== false) event.preventDefault();
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}

function isTypedInto(target: EventTarget | null): boolean {
  return target instanceof HTMLElement &&
    (target.isContentEditable || /^(textarea|select)$/i.test(target.tagName) ||
      target instanceof HTMLInputElement && !/^(checkbox|radio|button|submit)$/.test(target.type));
}
