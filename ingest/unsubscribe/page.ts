import { hash } from "node:crypto";

/** The pages of `/unsubscribe`: no script, no request to anybody, readable in the dark and by a screen reader. */
export type UnsubscribePage = "ask" | "done" | "forged" | "not_yet" | "not_now";

const TEXTS: Record<UnsubscribePage, { readonly title: string; readonly text: string }> = {
  ask: {
    title: "Unsubscribe",
    text: "Press the button and you will get no more offers at the address this link was sent to.",
  },
  done: { title: "You are unsubscribed", text: "You will get no more offers at this address." },
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

const STYLE = `:root{color-scheme:light dark}
body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1.25rem}
button{font:inherit;padding:.6rem 1.4rem;border-radius:.5rem;border:2px solid currentColor;cursor:pointer}
button:focus-visible,a:focus-visible{outline:3px solid Highlight;outline-offset:3px}`;

/**
 * The form posts to the page's own address, token and all, and carries what a mail program would send (RFC 8058).
 *
 * @param publicUrl Where the page after the button leads back to.
 */
export function unsubscribePage(page: UnsubscribePage, { publicUrl }: { publicUrl: string }): string {
  const { title, text } = TEXTS[page];
  const form = `<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">` +
    `<button type="submit">Unsubscribe</button></form>`;
  const back = `<p><a href="${escapeHtml(publicUrl)}/">Back to the start page</a></p>`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1><p>${text}</p>${page === "ask" ? form : ""}${
    page === "done" ? back : ""
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
