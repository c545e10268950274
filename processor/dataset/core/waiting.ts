/** Chunks that are written and wait until they are durable, in their order. */
export class Waiting<T extends { readonly nextOffset: number; readonly bytes: number }> {
  #chunks: T[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** What all of them hold in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: T): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.bytes;
  }

  /** Those that end there or below: they wait no more. */
  takeUpTo(durableOffset: number): readonly T[] {
    const beyond = this.#chunks.findIndex(({ nextOffset }) => nextOffset > durableOffset);
    const taken = this.#chunks.splice(0, beyond < 0 ? this.#chunks.length : beyond);
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken;
  }
}
