/** In the browser: brings the islands of the page to life, each between the two comments that the server wrote. */
import { type ComponentType, type ContainerNode, h, hydrate } from "preact";
import { readIslandProps } from "./island_props.ts";

/** `components` and the props in `text` are in the order of the islands' places. */
export function boot(components: readonly ComponentType[], text: string): void {
  const props = readIslandProps(text);
  for (const { start, end, index } of islandPlaces()) {
    try {
      hydrate(h(components[index]!, props[index]!), rootBetween(start, end));
    } catch (error) {
      reportError(error); // One broken island leaves the others alive.
    }
  }
}

function islandPlaces(): { start: Comment; end: Comment; index: number }[] {
  const comments = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT);
  const places: { start: Comment; end: Comment; index: number }[] = [];
  let open: { start: Comment; index: number } | null = null;
  while (comments.nextNode()) {
    const comment = comments.currentNode as Comment;
    const index = /^island:(\d+)$/.exec(comment.data)?.[1];
    if (index !== undefined) open = { start: comment, index: Number(index) };
    else if (open && comment.data === "/island") {
      places.push({ ...open, end: comment });
      open = null;
    }
  }
  return places;
}

/** Preact renders into an element; this one stands for the nodes between two comments, so that no wrapper is needed. */
function rootBetween(start: Comment, end: Comment): ContainerNode {
  const parent = start.parentNode!;
  const childNodes = () => {
    const nodes: Node[] = [];
    for (let node = start.nextSibling; node && node !== end; node = node.nextSibling) nodes.push(node);
    return nodes;
  };
  const root = {
    nodeType: Node.ELEMENT_NODE,
    parentNode: parent,
    namespaceURI: (parent as Element).namespaceURI,
    get firstChild() {
      return childNodes()[0] ?? null;
    },
    get childNodes() {
      return childNodes();
    },
    contains: (node: Node | null) => parent.contains(node),
    insertBefore: (node: Node, before: Node | null) => parent.insertBefore(node, before ?? end),
    appendChild: (node: Node) => parent.insertBefore(node, end),
    removeChild: (node: Node) => parent.removeChild(node),
  };
  return root as unknown as ContainerNode;
}
