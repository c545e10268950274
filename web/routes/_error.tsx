import { HttpError } from "fresh";
import { ErrorMessage } from "../components/ErrorMessage.tsx";
import { define } from "../utils.ts";

/** What the policy middleware does not catch: errors outside of it. */
export default define.page(function ErrorPage({ error }) {
  return <ErrorMessage status={error instanceof HttpError ? error.status : 500} />;
});
