/**
 * Material for tests and benchmarks of the sanitiser: key characters that are the same in every run, and units whose
 * repetition has brought other detectors down.
 */

/** A stream of numbers in [0, 1), the same every time (mulberry32). */
export function drawer(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Keys' characters, drawn from a stream of numbers; as many as are asked for. */
export function drawsOf(next: () => number): {
  readonly of: (alphabet: string, length: number) => string;
  readonly hex: (length: number) => string;
  readonly alnum: (length: number) => string;
} {
  const of = (alphabet: string, length: number) =>
    Array.from({ length }, () => alphabet[Math.floor(next() * alphabet.length)]).join("");
  return {
    of,
    hex: (length) => of("0123456789abcdef", length),
    alnum: (length) => of(`${LETTERS}0123456789`, length),
  };
}

export const { hex, alnum } = drawsOf(drawer(20251130));
/** Letters and digits of Base64url that end no key. */
export const base64 = alnum;

/** Units to repeat up to a megabyte. */
export const HOSTILE: readonly string[] = [
  "a",
  "a@",
  "a.",
  "a.b@",
  "@",
  "x@a-a-",
  "a@b.c.",
  "a%40",
  "&#64;",
  '"a"@',
  "1 ",
  "1-",
  "(1",
  "+1",
  "+1 ",
  "1.",
  "1.1.1.1.",
  "12 34 ",
  "1234567 ",
  "1234567, ",
  "(415) 555-0132 ",
  "415-555-",
  "06 12 34 56 78 ",
  "call 1",
  "phone 1 ",
  "tel ",
  "::",
  "0:",
  "2001:",
  "00:1A:",
  "a::b ",
  "-----BEGIN",
  "-----BEGIN PRIVATE KEY-----",
  "-----BEGIN PRIVATE KEY-----\n",
  "-----END ",
  "eyJ",
  "eyJ.",
  "eyJhbGciOi.eyJ",
  "key=",
  "key=a1",
  "password:",
  "password: ",
  'password:"',
  "pass",
  "token=",
  "secret ",
  "api_key='",
  "://",
  "http://a:",
  "http://a:b",
  "http://a:b@",
  "ghp_",
  "sk-",
  "sk-a1-",
  "xoxb-",
  "AKIA",
  "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
  "0123456789abcdef",
  "\u200b",
  "👍",
  "电话",
  "电话1",
  "电话1234567 ",
  "e\u0301\u0301\u0301",
  "\u001b[",
  "\u001b]",
  "\u001b",
  "\u009b1",
  "my name is ",
  "my name is A ",
  " dot ",
  "a dot ",
  "a at ",
  "a [at] ",
  "GB82 ",
  "GB82",
  "4111 ",
  "4111-1111-",
  "4",
  "<",
  "<EMAIL_ADDRESS>",
  "<a",
  "{",
  "[",
  "\\",
  "\\n",
  "\n",
  "\0",
  "bc1",
  "0x",
  "13",
  "DL ",
  "passport ",
  "account 1",
  " is ",
  " = ",
  "'",
  '"',
  "`",
  "%40",
  "％４０",
  "١",
  "a1",
  "a_",
  "A1-",
  "/webhooks/1",
  "Basic ",
  "bearer ",
  "\ud800",
  "ﷺ",
];
