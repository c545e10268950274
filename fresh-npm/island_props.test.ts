import { computed, signal } from "@preact/signals";
import { h } from "preact";
import { expect, test } from "vitest";
import { readIslandProps, writeIslandProps } from "./island_props.ts";

const place = (name: string, props: Record<string, unknown>) => ({ island: { name }, props });

test("what JSON cannot say comes out as it went in", () => {
  const props = {
    when: new Date(5),
    tags: new Set(["a"]),
    big: 9n,
    none: undefined,
    text: "</script>\u2028",
  };
  expect(readIslandProps(writeIslandProps([place("A", props)]))).toEqual([props]);
});

test("a signal inside an object that two islands get is one signal for both", () => {
  const shared = { feed: signal([1]) };
  const [a, b] = readIslandProps(
    writeIslandProps([place("A", { shared }), place("B", { feed: shared.feed })]),
  );
  expect((a!.shared as typeof shared).feed).toBe(b!.feed);
  expect((b!.feed as typeof shared.feed).value).toEqual([1]);
});

test("a computed signal arrives with the value it had", () => {
  const two = signal(2);
  const [props] = readIslandProps(writeIslandProps([place("A", { four: computed(() => two.value * 2) })]));
  expect((props!.four as { value: number }).value).toBe(4);
});

test("children, elements and functions are refused with the island's name", () => {
  expect(() => writeIslandProps([place("A", {}), place("Box", { children: "text" })]))
    .toThrow('Cannot send children of island "Box" to the browser');
  expect(() => writeIslandProps([place("A", {}), place("Box", { deep: [h("b", null)] })])).toThrow(
    "it is an element",
  );
  expect(() => writeIslandProps([place("A", {}), place("Box", { on: { click: () => 1 } })]))
    .toThrow('Cannot send "on.click" of island "Box" to the browser');
});
