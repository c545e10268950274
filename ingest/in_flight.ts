/** What is between its first byte and its answer, bounded in number and in bytes of bodies. */
export class InFlight {
  requests = 0;
  bytes = 0;

  #closed = false;
  #emptied: () => void = () => {};

  constructor(private readonly bounds: { readonly requestsMax: number; readonly bytesMax: number }) {}

  /** Takes a place for one request; false where there is none, or ingest stops. */
  enter(): boolean {
    if (this.#closed || this.requests >= this.bounds.requestsMax) return false;
    this.requests++;
    return true;
  }

  /** Takes room for `bytes` more; false where there is none. */
  take(bytes: number): boolean {
    if (this.bytes + bytes > this.bounds.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  leave(bytes: number): void {
    this.requests--;
    this.bytes -= bytes;
    if (this.requests === 0) this.#emptied();
  }

  /** Lets nobody in any more and resolves when everything is answered. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.requests > 0) await new Promise<void>((resolve) => this.#emptied = resolve);
  }
}
