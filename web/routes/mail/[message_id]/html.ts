import { readMail } from "../../../server/mail.ts";
import { pathSegment } from "../../../server/path.ts";
import { MAIL_POLICY } from "../../../server/policy.tsx";
import { define, settings } from "../../../utils.ts";

/** The HTML part of a mail, for the sandboxed frame of its page: its policy allows no script and no request. */
export const handler = define.handlers({
  async GET(ctx) {
    const { mail } = await readMail(pathSegment(ctx.url, 1), settings());
    return new Response(mail?.html ? withLinksElsewhere(mail.html) : "This mail has no HTML part.", {
      status: mail?.html ? 200 : 404,
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": MAIL_POLICY,
        "cache-control": "no-store",
      },
    });
  },
});

/** Links open in another tab, because the frame shows this mail and nothing else. */
function withLinksElsewhere(html: string): string {
  const base = '<base target="_blank">';
  return /<head[^>]*>/i.test(html) ? html.replace(/<head[^>]*>/i, (head) => head + base) : base + html;
}
