/** How islands' props travel from the server into the page: one text per page, so that what islands share stays shared. */
import { Signal, signal } from "@preact/signals";
import { isValidElement } from "preact";
import { DevalueError, parse, stringify } from "devalue";

/** An island somewhere on the page, with what it was given. */
export type IslandProps = {
  readonly island: { readonly name: string };
  readonly props: Readonly<Record<string, unknown>>;
};

/**
 * Text of the props of all islands of a page, in the order of their places. A signal that two islands were given is
 * one signal in the browser as well. Throws where a prop cannot travel: children, elements, functions.
 */
export function writeIslandProps(places: readonly IslandProps[]): string {
  const withChildren = places.find(({ props }) => props.children != null);
  if (withChildren) {
    throw cannotSend(`children of island "${withChildren.island.name}"`, "they exist on the server only");
  }
  try {
    return unescaped(stringify(places.map(({ props }) => props), {
      Signal: (value) => value instanceof Signal && [value.peek()],
      Element: (value) => {
        if (isValidElement(value)) throw new TypeError("it is an element");
      },
    }));
  } catch (cause) {
    throw cannotSend(whereIn(places, cause), cause instanceof Error ? cause.message : String(cause));
  }
}

/** The props that {@link writeIslandProps} wrote, in the same order; throws where the text is none of its own. */
export function readIslandProps(text: string): Record<string, unknown>[] {
  return parse(text, { Signal: ([value]: [unknown]) => signal(value) });
}

/** devalue escapes every `<`; Fresh leaves them to who writes the script. Escapes are read in pairs: an escaped backslash before u003C is text. */
const unescaped = (text: string) =>
  text.replace(/\\(?:u003C|.)/g, (found) => found === "\\u003C" ? "<" : found);

function cannotSend(what: string, why: string): TypeError {
  return new TypeError(
    `Cannot send ${what} to the browser: ${why}. Give islands plain data and signals only.`,
  );
}

/** `[1].count` in the list of all props is the prop `count` of the second island. */
function whereIn(places: readonly IslandProps[], cause: unknown): string {
  const [, place, prop] = cause instanceof DevalueError ? /^\[(\d+)\]\.?(.*)$/.exec(cause.path) ?? [] : [];
  const island = place && places[Number(place)]?.island.name;
  return island
    ? `"${prop}" of island "${island}"`
    : `props of ${places.map(({ island }) => island.name).join(", ")}`;
}
