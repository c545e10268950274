import type { ComponentChildren } from "preact";
import Ago from "../islands/Ago.tsx";

/** What was known of something: grey where it may have changed since, and then with the time that it is of. */
export function AsItWas(
  { since, children }: {
    /** ISO 8601; null: not known when. Undefined: it is so now. */
    since: string | null | undefined;
    children: ComponentChildren;
  },
) {
  return (
    <div
      class={since === undefined ? "stacked" : "stacked as-it-was"}
      data-since={since === null ? "" : since}
    >
      {since !== undefined && (
        <p class="note warn">
          {since === null ? "As it was before" : (
            <>
              As it was <Ago at={since} />
            </>
          )}: nothing newer is known here.
        </p>
      )}
      {children}
    </div>
  );
}
