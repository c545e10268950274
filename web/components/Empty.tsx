import type { ComponentChildren } from "preact";

/** Stands where there is nothing to show: what is so, and behind it why, or what to do. */
export function Empty({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="empty">
      <p>
        <strong>{title}</strong>
      </p>
      <p class="quiet">{children}</p>
    </div>
  );
}

/** Stands where a page's data would be while the processor is away. */
export function Unavailable({ what }: { what: string }) {
  return (
    <Empty title="The processor does not answer.">
      {what}; it is shown again once the processor is back. The strip above says which service is away.
    </Empty>
  );
}
