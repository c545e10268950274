import { asset } from "fresh/runtime";
import { define } from "../utils.ts";

/** A browser that is busy would paint half a page, and move what it has painted when the rest comes. */
const PAINTED_WHOLE = { rel: "expect", href: "#foot", blocking: "render" };

export default define.page(function App({ Component, state }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta
          name="description"
          content="Watch one event travel from the browser through PostHog into a training dataset, sanitised, and nothing lost."
        />
        <title>{state.title ? `${state.title} · Pipeline` : "Pipeline"}</title>
        <script src={asset("/scheme.js")} />
        <link rel="icon" type="image/svg+xml" href={asset("/favicon.svg")} />
        <link rel="stylesheet" href={asset("/styles.css")} />
        <link {...PAINTED_WHOLE} />
      </head>
      <body>
        <Component />
      </body>
    </html>
  );
});
