/**
 * Turns a page into a document: marks islands for the browser, gives scripts and styles the nonce, and ends the body
 * with the one boot script.
 */
import {
  type ComponentChildren,
  type ComponentType,
  createContext,
  Fragment,
  h,
  options,
  type VNode,
} from "preact";
import { useContext } from "preact/hooks";
import { jsxAttr } from "preact/jsx-runtime";
import { renderToString } from "preact-render-to-string";
import { linkMarks } from "./links.ts";
import { writeIslandProps } from "./island_props.ts";

// Elements of whatever props; Preact's own VNode is not covariant in them.
// deno-lint-ignore no-explicit-any
export type Element = VNode<any>;

/** Files that the browser needs (URLs). The client's entry: its styles for every page, its script for pages with islands. */
export type ClientEntry = {
  readonly script: string;
  readonly preloads: readonly string[];
  readonly styles: readonly string[];
};

/** One component of `islands/` and the files the browser needs for it. */
export type Island = ClientEntry & { readonly name: string; readonly exportName: string };

const islandsByComponent = new Map<unknown, Island>();
let client: ClientEntry = { script: "", preloads: [], styles: [] };

/** Tells the renderer which components are islands; the built server does this once, before its first request. */
export function registerIslands(entry: ClientEntry, islands: Iterable<[ComponentType, Island]>): void {
  client = entry;
  for (const [component, island] of islands) islandsByComponent.set(component, island);
}

const CurrentRender = createContext<PageRender | null>(null);
const InsideIsland = createContext(false);

/** One response being rendered. */
export class PageRender {
  readonly islands: { island: Island; props: Record<string, unknown> }[] = [];
  readonly #headPlace: string;
  #headChildren: ComponentChildren = null;

  constructor(readonly nonce: string, readonly url: URL) {
    this.#headPlace = `head:${nonce}`;
  }

  /** HTML of a part of the page. */
  part(children: ComponentChildren): string {
    pageUrl = this.url;
    try {
      return renderToString(h(CurrentRender.Provider, { value: this }, children));
    } finally {
      pageUrl = null;
    }
  }

  /** The whole document; the head is filled in last, when everything that it must carry is known. */
  document(root: ComponentChildren): string {
    const html = this.part(root);
    const place = `<!--${this.#headPlace}-->`;
    if (!html.includes(place)) throw new Error("Cannot render the page: _app.tsx renders no <head>.");
    const head = this.part([this.#headChildren, this.#links()]);
    return `<!DOCTYPE html>${html.replace(place, () => head)}`;
  }

  /** Called by the stand-in for `<head>`: keeps its children for later and leaves a mark. */
  head(children: ComponentChildren): Element {
    this.#headChildren = children;
    return comment(this.#headPlace);
  }

  #links(): Element[] {
    const used = this.islands.map(({ island }) => island);
    const styles = new Set([...client.styles, ...used.flatMap((island) => island.styles)]);
    const scripts = new Set(
      used.length === 0 ? [] : [
        client.script,
        ...client.preloads,
        ...used.flatMap((island) => [island.script, ...island.preloads]),
      ],
    );
    return [
      ...[...styles].map((href) => h("link", { rel: "stylesheet", href })),
      ...[...scripts].map((href) => h("link", { rel: "modulepreload", href })),
    ];
  }
}

function comment(text: string): Element {
  // Preact's own, if unstable, way to write a comment.
  return h(Fragment, { UNSTABLE_comment: text } as Record<string, unknown>);
}

type ElementProps = Record<string, unknown> & { children?: ComponentChildren };

/** Components that stand in for elements on the server; outside a page render they are the plain element. */
const STAND_INS: Readonly<Record<string, ComponentType<ElementProps>>> = {
  head: ({ children, ...props }) => {
    const render = useContext(CurrentRender);
    return plainly("head", props, render ? render.head(children) : children);
  },
  body: ({ children, ...props }) => plainly("body", props, children, h(BootScript, null)),
  script: (props) => plainly("script", withNonce(props)),
  style: (props) => plainly("style", withNonce(props)),
};

function withNonce(props: ElementProps): ElementProps {
  const render = useContext(CurrentRender);
  return render && !props.nonce ? { ...props, nonce: render.nonce } : props;
}

/** The page being rendered, while it is; rendering is synchronous. */
let pageUrl: URL | null = null;

let plain = false;

/** Creates an element without any stand-in for it. */
function plainly(
  type: string | ComponentType,
  props: ElementProps,
  ...children: ComponentChildren[]
): Element {
  plain = true;
  try {
    return h(type as string, props, ...children);
  } finally {
    plain = false;
  }
}

// Elements are created long before they are rendered (async pages build theirs ahead), so the swap is made at creation
// and the stand-in looks for the render when it runs.
const createdBefore = options.vnode;
options.vnode = (vnode) => {
  if (!plain) {
    if (typeof vnode.type === "string") {
      if (Object.hasOwn(STAND_INS, vnode.type)) vnode.type = STAND_INS[vnode.type] as ComponentType;
      // At creation, as in Fresh: a link that an async page made before its render is not marked.
      if (vnode.type === "a" && pageUrl) {
        (vnode as Element).props = { ...vnode.props, ...linkMarks(vnode.props as ElementProps, pageUrl) };
      }
    } else if (islandsByComponent.has(vnode.type)) {
      (vnode as Element).props = { component: vnode.type, props: vnode.props };
      vnode.type = IslandPlace as ComponentType;
    }
  }
  createdBefore?.(vnode);
};

// Precompiled JSX alone asks for a key's attribute. Fresh writes it, for its partials; a page that looks for exact HTML
// finds it there.
const attributeBefore = options.attr;
options.attr = (name, value) =>
  name === "key" ? jsxAttr("data-frsh-key", String(value)) ?? "" : attributeBefore?.(name, value);

type IslandPlaceProps = { component: ComponentType; props: Record<string, unknown> };

/** Renders an island between two comments that name its number; an island inside another is part of that one. */
function IslandPlace({ component, props }: IslandPlaceProps): Element {
  const render = useContext(CurrentRender);
  const inside = useContext(InsideIsland);
  const element = plainly(component, props);
  if (!render || inside) return element;
  const index = render.islands.push({ island: islandsByComponent.get(component)!, props }) - 1;
  return h(Fragment, null, [
    comment(`island:${index}`),
    h(InsideIsland.Provider, { value: true }, element),
    comment("/island"),
  ]);
}

/** Last in the body, so that it knows every island of the page; nothing where there is none. */
function BootScript(): Element | null {
  const render = useContext(CurrentRender);
  if (!render || render.islands.length === 0) return null;
  const used = [...new Set(render.islands.map(({ island }) => island))];
  const imports = used.map(({ exportName, script }, i) =>
    `import{${exportName} as i${i}}from${JSON.stringify(script)};`
  );
  const places = render.islands.map(({ island }) => `i${used.indexOf(island)}`);
  const props = inScript(JSON.stringify(writeIslandProps(render.islands)));
  const code = `import{boot}from${JSON.stringify(client.script)};${
    imports.join("")
  }boot([${places}],${props});`;
  return h("script", { type: "module", dangerouslySetInnerHTML: { __html: code } });
}

/** As Fresh does, JSON escapes only what could end the script or hide its end; other markup stands there as text. */
const inScript = (json: string) =>
  json.replaceAll(/<\/(?=script|style)/gi, "<\\/").replaceAll("<!--", "\\u003c!--");
