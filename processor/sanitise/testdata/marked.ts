/**
 * Samples with what is secret marked in them: `‹password›`, `«key»`, `⟦private key⟧`, `⟪token⟫` (a JSON web token). A row without marks stays
 * as it is.
 */
const MARKS: readonly (readonly [RegExp, string])[] = [
  [/‹([^›]*)›/g, "PASSWORD"],
  [/«([^»]*)»/g, "API_KEY"],
  [/⟦([^⟧]*)⟧/g, "PRIVATE_KEY"],
  [/⟪([^⟫]*)⟫/g, "JWT"],
];

/** What the sanitiser is given, and what it is to make of it. */
export function unmark(row: string): { readonly input: string; readonly output: string } {
  const replaced = (by: (entity: string) => string) =>
    MARKS.reduce((text, [mark, entity]) => text.replaceAll(mark, by(entity)), row);
  return { input: replaced(() => "$1"), output: replaced((entity) => `<${entity}>`) };
}
