import { hash } from "node:crypto";

/** The pages of `/unsubscribe`: no script, no request to anybody, readable in the dark and by a screen reader. */
export type UnsubscribePage = "ask" | "done" | "already" | "forged" | "not_yet" | "not_now";

const TEXTS: Record<UnsubscribePage, { readonly title: string; readonly text: string }> = {
  ask: {
    title: "Unsubscribe",
    text: "Press the button and you will get no more offers at the address this link was sent to.",
  },
  done: { title: "You are unsubscribed", text: "You will get no more offers at this address." },
  already: {
    title: "You are unsubscribed",
    text: "This was already done: there will be no more offers at this address. There is nothing left to do.",
  },
  forged: {
    title: "This link is not valid",
    text: "It was changed or cut off. Please open the link in the e-mail again, or copy all of it.",
  },
  not_yet: {
    title: "Please try again in a moment",
    text: "This service has just started and cannot check the link yet.",
  },
  not_now: {
    title: "Please try again in a moment",
    text: "Your wish could not be stored. Nothing has changed.",
  },
};

/** Colours, type and measures of the product's page (`web/static/styles.css`), as far as one card needs them. */
const STYLE =
  `:root{color-scheme:light dark;--ground:#f7f6f3;--surface:#fff;--ink:#1c1e22;--quiet:#5a606b;--line:#dedad3;
--accent:#3646b5;--accent-ink:#fff;--ok:#1c6b45;--bad:#ab2118}
@media (prefers-color-scheme:dark){:root{--ground:#131518;--surface:#1a1d21;--ink:#e7e5e0;--quiet:#a2a8b3;--line:#31363d;
--accent:#a4b0ff;--accent-ink:#11142b;--ok:#74cfa0;--bad:#ff938a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;padding:40px 16px;background:var(--ground);color:var(--ink);overflow-wrap:anywhere;
font:.9375rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:30rem;margin:8vh auto 0;padding:24px;background:var(--surface);border:1px solid var(--line);
border-radius:8px}
h1{margin:0 0 8px;font-size:1.125rem;font-weight:620;line-height:1.3;letter-spacing:-.005em}
.ok h1{color:var(--ok)}.bad h1{color:var(--bad)}
p{margin:0;color:var(--quiet)}
form,.back{margin-top:16px}
a{color:var(--accent);text-underline-offset:.18em;text-decoration-thickness:1px}
button{min-height:40px;padding:8px 16px;font:inherit;font-weight:560;color:var(--accent-ink);background:var(--accent);
border:1px solid var(--accent);border-radius:8px;cursor:pointer}
button:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:2px}`;

/**
 * The form posts to the page's own address, token and all, and carries what a mail program would send (RFC 8058).
 *
 * @param publicUrl Where the page after the button leads back to.
 */
export function unsubscribePage(page: UnsubscribePage, { publicUrl }: { publicUrl: string }): string {
  const { title, text } = TEXTS[page];
  const form = `<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">` +
    `<button type="submit">Unsubscribe</button></form>`;
  const isDone = page === "done" || page === "already";
  const tone = isDone ? "ok" : page === "ask" ? "" : "bad";
  const back = `<p class="back"><a href="${escapeHtml(publicUrl)}/">Back to the start page</a></p>`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><main class="${tone}"><h1>${title}</h1><p>${text}</p>${page === "ask" ? form : ""}${
    isDone ? back : ""
  }</main></body>
</html>
`;
}

/** Headers of every page: nothing may be loaded, framed, cached, or told where the reader came from. */
export function pageHeaders(): Record<string, string> {
  return {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": `default-src 'none'; style-src 'sha256-${hash("sha256", STYLE, "base64")}'; ` +
      `form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
