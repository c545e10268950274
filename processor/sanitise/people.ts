import { type CountedText, pattern, words } from "./counted_text.ts";

/**
 * People who introduce themselves. Names without an introduction stay: "Alice and Bob", "Newton's laws" and "Bob Dylan"
 * are what prompts are about, and a list of names would destroy more than it hides.
 */
export function findIntroductions(text: CountedText, found: (start: number, end: number) => void): void {
  for (let at = text.next(INTRODUCTION, 0); at !== null; at = text.next(INTRODUCTION, at.end)) {
    const start = text.char(at.end) === " " ? at.end + 1 : at.end;
    const end = nameEnd(text, start);
    if (end > start) found(start, end);
  }
}

/** Introductions per language, lower or sentence case; the name follows at once. */
const INTRODUCTIONS = [
  "[Mm]y (?:full |first |last |legal |real )?name(?: is|['’]s|:| =)",
  "[Jj]e m['’]appelle",
  "[Mm]on nom est",
  "[Mm]e llamo",
  "[Mm]i nombre es",
  "[Ii]ch hei(?:ß|ss)e",
  "[Mm]ein [Nn]ame ist",
  "[Mm]eu nome é",
  "[Mm]e chamo",
  "[Mm]i chiamo",
  "[Ii]l mio nome è",
  "[Mm]ijn naam is",
  "[Ii]k heet",
  "[Jj]ag heter",
  "[Jj]eg heter",
  "[Jj]eg hedder",
  "[Nn]azywam się",
  "[Jj]menuji se",
  "[Мм]еня зовут",
  "[Мм]ене звати",
  "[Bb]enim adım",
  "[Nn]ama saya",
  "[Tt]ên tôi là",
];
/** A text without any of these, nor one of the letters, has none of them. */
export const INTRODUCTION_CUES: readonly string[] = [
  "my name",
  "my full name",
  "my first name",
  "my last name",
  "my legal name",
  "my real name",
  "appelle ",
  "mon nom est",
  "me llamo",
  "mi nombre es",
  "ich hei",
  "mein name ist",
  "meu nome ",
  "me chamo",
  "mi chiamo",
  "il mio nome",
  "mijn naam is",
  "ik heet",
  "jag heter",
  "jeg heter",
  "jeg hedder",
  "nazywam si",
  "jmenuji se",
  "benim ad",
  "nama saya",
];
export const INTRODUCTION_LETTERS = "зô";
const INTRODUCTION = words(new RegExp(`(?<![\\p{L}\\p{N}])(?:${INTRODUCTIONS.join("|")}) `, "u"));
const TITLE = /^(?:(?:Mr|Mrs|Ms|Dr|Prof|Sr|Sra|Herr|Frau|Mme|M)\.? )?/u;
const PART =
  /^(?:\p{Lu}[\p{L}\p{M}]{0,30}(?:['’-]\p{L}[\p{L}\p{M}]{1,30}){0,3}|\p{Lu}['’]\p{Lu}[\p{L}\p{M}]{1,30}|\p{Lu}\.|(?:van|von|de|del|della|da|di|der|den|la|le|bin|al|el|dos|du|ter)(?= ))/u;
const PARTS_MAX = 5;

function nameEnd(text: CountedText, start: number): number {
  const piece = text.slice(start, start + 200);
  let at = TITLE.exec(piece)![0].length;
  let end = 0;
  for (let parts = 0; parts < PARTS_MAX; parts++) {
    const part = PART.exec(piece.slice(at));
    if (part === null || NOT_NAMES.test(part[0])) break;
    at += part[0].length;
    if (/^\p{Lu}/u.test(part[0])) end = at;
    if (piece[at] !== " ") break;
    at++;
  }
  return start + (end || lowerCaseName(piece));
}

const NOT_NAMES =
  /^(?:I|I'm|I’m|And|But|The|My|Not|What|This|Please|Can|How|Is|In|Important|Unique|Required)$/;
/** Typed without capitals: one or two words, ended by a sign, the text's end or a word that no name has. */
const LOWER_NAME =
  /^(\p{Ll}{2,20}(?: \p{Ll}{2,20})?)(?=[,.;!?\n]| (?:and|und|et|y|e|i|im|from|my|i'm|but|please|can)(?![\p{L}])|$)/u;
const NOT_LOWER_NAMES =
  /(?:^| )(?:not|a|an|the|on|in|at|of|to|for|very|just|also|too|so|unique|required|important|different|same|always|never|what|that|this|there|wrong|misspelled|spelled|secret|unknown|here|blank|empty|null|changed|missing|correct|pronounced|hard|easy|long|short|common|rare|used|on)(?: |$)/;

function lowerCaseName(piece: string): number {
  const name = LOWER_NAME.exec(piece)?.[1];
  return name === undefined || NOT_LOWER_NAMES.test(name) ? 0 : name.length;
}

/** Chinese, Japanese and Korean introductions. */
export function findEastAsianIntroductions(
  text: CountedText,
  found: (start: number, end: number) => void,
): void {
  text.each(EAST_ASIAN, ({ start, end }) => found(start, end));
}

/** A text without any of these has none of the introductions. */
export const EAST_ASIAN_LETTERS = "叫名저제";
const EAST_ASIAN = pattern(
  /(?<=我叫|名字[是叫]|我名叫|本人姓名[:：]?)\p{sc=Han}|(?<=私の名前は)[\p{sc=Han}\p{sc=Katakana}\p{sc=Hiragana}]|(?<=제 이름은 |저는 )\p{sc=Hangul}/u,
  /(?<=我叫|我的名字(?:是|叫)|我名叫|本人姓名[:：]?)\p{sc=Han}{2,4}(?=[，。,.、！!\s]|$)|(?<=私の名前は)[\p{sc=Han}\p{sc=Katakana}\p{sc=Hiragana}]{2,8}?(?=です|と|。)|(?<=제 이름은 |저는 )\p{sc=Hangul}{2,4}?(?=입니다|이고|라고)/u,
  19,
  8,
);
