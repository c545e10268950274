import { describe, expect, test } from "vitest";

/** WCAG 2.2 AA for text. */
const CONTRAST_MIN = 4.5;

const css = Deno.readTextFileSync(new URL("../../web/static/styles.css", import.meta.url));

/** Custom properties that are colours, by name without dashes. */
function colours(block: string): Record<string, string> {
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map(([, name, value]) => [name!, value!]),
  );
}

const ruleAt = (start: string) => css.slice(css.indexOf(start), css.indexOf("}", css.indexOf(start)));
const light = colours(ruleAt(":root {"));
const darkOfSystem = colours(ruleAt(`:root:not([data-theme="light"]) {`));
const dark = { ...light, ...darkOfSystem };

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const part = parseInt(hex.slice(i, i + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high! + 0.05) / (low! + 0.05);
}

const PAIRS = [
  ...["ink", "quiet", "accent", "ok", "warn", "bad"].flatMap((text) =>
    ["ground", "surface", "sunken"].map((under) => [text, under])
  ),
  ["accent", "accent-soft"],
  ["ink", "accent-soft"],
  ["accent-ink", "accent"],
  ["warn", "warn-soft"],
  ["bad", "bad-soft"],
] as [string, string][];

describe.each([["light", light], ["dark", dark]] as const)("in the %s scheme", (_, palette) => {
  test.each(PAIRS)("%s is readable on %s", (text, under) => {
    expect(contrast(palette[text]!, palette[under]!)).toBeGreaterThanOrEqual(CONTRAST_MIN);
  });
});

test("whoever chooses the dark scheme sees what the system's dark scheme shows", () => {
  expect(Object.keys(darkOfSystem).length).toBeGreaterThan(10);
  expect(colours(ruleAt(`:root[data-theme="dark"] {`))).toEqual(darkOfSystem);
});

test("the stylesheet fetches nothing from anywhere", () => {
  expect(css).not.toMatch(/url\(|@import|https?:/);
});
