import type { ComponentChildren } from "preact";
import Ago from "../islands/Ago.tsx";

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

/** Stands where a page's data would be while the processor is away; `seenAt`: when it last answered, ISO 8601. */
export function Unavailable({ what, seenAt = null }: { what: string; seenAt?: string | null | undefined }) {
  return (
    <Empty title="The processor does not answer.">
      {seenAt !== null && (
        <>
          Last seen <Ago at={seenAt} />.{" "}
        </>
      )}
      {what}, and shown again once the processor is back. The strip above says which service is away.
    </Empty>
  );
}
