const TEXT = Symbol("text");

/**
 * A response whose body is known as a text: the server need not read it back through a stream, which costs as much as
 * writing it (measured). Whoever makes another response of it loses that and nothing else.
 */
export function textResponse(text: string, init: ResponseInit): Response {
  return Object.assign(new Response(text, init), { [TEXT]: text });
}

/** Undefined where it is not known, or another body was put in its place. */
export function textOf(response: Response): string | undefined {
  return response.bodyUsed ? undefined : (response as { [TEXT]?: string })[TEXT];
}
