import { Fragment } from "preact";

/** A sanitised text with its placeholders marked. */
export function Sanitised({ text }: { text: string }) {
  // Every second part is a placeholder, because the pattern's group is part of the split.
  const parts = text.split(/(<[A-Z][A-Z0-9_]{1,40}>)/);
  return (
    <>
      {parts.map((part, i) =>
        i % 2 === 1 ? <mark key={i} dir="ltr">{part}</mark> : <Fragment key={i}>{part}</Fragment>
      )}
    </>
  );
}
