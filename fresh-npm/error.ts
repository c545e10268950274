/** Thrown by a route or middleware to answer with an HTTP status: it ends at the nearest `_error.tsx`, else as plain text. */
export class HttpError extends Error {
  override name = "HttpError";
  constructor(readonly status: number, message = "", options?: ErrorOptions) {
    super(message, options);
  }
}
