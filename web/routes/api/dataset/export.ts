import { download } from "../../../server/dataset.ts";
import { define, settings } from "../../../utils.ts";

/** The whole dataset in another format. A browser whose form asked is led back to it where there is nothing to keep. */
export const handler = define.handlers({
  async GET(ctx) {
    const answer = await download(`/api/dataset/export${ctx.url.search}`, {
      ...settings(),
      method: ctx.req.method,
    });
    const isForm = /\btext\/html\b/.test(ctx.req.headers.get("accept") ?? "");
    if (answer.ok || !isForm) return answer;
    const error = await answer.json().then(({ error }) => error.code, () => null);
    const why = error === "busy" || error === "not_now" ? error : answer.status === 400 ? "wrong" : "away";
    const headers = { location: `/dataset?export=${why}#export`, "cache-control": "no-store" };
    return new Response(null, { status: 303, headers });
  },
});
