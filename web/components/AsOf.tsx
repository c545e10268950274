import type { ComponentChildren } from "preact";
import { oldSince } from "../browser/feed.ts";
import Ago from "../islands/Ago.tsx";

/**
 * Around what the processor says is so now. While nobody can know, it says of when that is; what counts down in it reads
 * `knownAt()`, and stands still.
 */
export function AsOf({ children }: { children: ComponentChildren }) {
  const since = oldSince();
  if (since === undefined) return <div>{children}</div>;
  return (
    <div data-since={since ?? "ever"}>
      <p class="note warn">
        {since === null ? "As it was before:" : (
          <>
            As it was <Ago at={since} />:
          </>
        )}
      </p>
      {children}
    </div>
  );
}
