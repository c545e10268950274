/** Endings that make `name@2x.png` a file and no mailbox, where the rest does not speak for one. */
export const FILE_EXTENSIONS: ReadonlySet<string> = new Set(
  ("png jpg jpeg gif svg webp avif ico bmp css scss less js mjs cjs jsx ts mts cts tsx json map html htm xml yaml " +
    "yml md txt py rb go rs java kt swift php sh lock tgz gz zip whl jar vue svelte woff woff2 ttf eot mp3 mp4 webm pdf")
    .split(" "),
);
