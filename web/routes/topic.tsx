import { page } from "fresh";
import { shownAfter } from "../core/topic.ts";
import TopicView from "../islands/TopicView.tsx";
import { framed } from "../server/services.ts";
import { topicNow } from "../server/topic.ts";
import { define, settings } from "../utils.ts";

export const handler = define.handlers({
  async GET(ctx) {
    return page(shownAfter(null, await framed(ctx.state, "Topic", topicNow(settings()))));
  },
});

export default define.page<typeof handler>(function Topic({ data }) {
  return (
    <div class="page">
      <h1>Topic</h1>
      <TopicView initial={data} />
    </div>
  );
});
