/** The bytes are not what the format says; the message says where. */
export class MalformedError extends Error {
  override name = "MalformedError";
}

/**
 * Reads numbers of Kafka's protocol off bytes, in order, and never beyond their end. 64-bit numbers come as the nearest
 * `number`: offsets are safe integers.
 */
export class ByteReader {
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array, public at = 0, readonly end = bytes.length) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Passes over `count` bytes and answers where they begin. */
  skip(count: number): number {
    if (count < 0 || count > this.end - this.at) {
      throw new MalformedError(`${count} bytes are announced where ${this.end - this.at} are left`);
    }
    const from = this.at;
    this.at += count;
    return from;
  }

  /** A number of at most 6 bytes, the lowest first, without a sign: as codecs write them. */
  littleEndian(count: number): number {
    const at = this.skip(count);
    let value = 0;
    for (let i = count - 1; i >= 0; i--) value = value * 256 + this.bytes[at + i]!;
    return value;
  }

  int8(): number {
    return this.#view.getInt8(this.skip(1));
  }

  int16(): number {
    return this.#view.getInt16(this.skip(2));
  }

  int32(): number {
    return this.#view.getInt32(this.skip(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.skip(4));
  }

  int64(): number {
    const from = this.skip(8);
    return this.#view.getInt32(from) * 2 ** 32 + this.#view.getUint32(from + 4);
  }

  /** A view of the next bytes, not a copy. */
  take(count: number): Uint8Array {
    const { buffer, byteOffset } = this.bytes;
    return new Uint8Array(buffer, byteOffset + this.skip(count), count);
  }

  /** A zigzag number of at most 32 bits. */
  varint(): number {
    const { bytes } = this;
    let raw = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= this.end) throw new MalformedError("a number is cut off");
      const byte = bytes[this.at++]!;
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1);
    }
    throw new MalformedError("a number is longer than 32 bits");
  }

  /** A zigzag number of at most 64 bits. */
  varlong(): number {
    const { bytes } = this;
    let raw = 0;
    for (let unit = 1, length = 0; length < 10; unit *= 128, length++) {
      if (this.at >= this.end) throw new MalformedError("a number is cut off");
      const byte = bytes[this.at++]!;
      raw += (byte & 0x7f) * unit;
      if (byte < 0x80) return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
    }
    throw new MalformedError("a number is longer than 64 bits");
  }
}
