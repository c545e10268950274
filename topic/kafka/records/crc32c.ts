/** CRC-32C (Castagnoli), which guards Kafka's record batches; RFC 3720 B.4. Eight bytes at a time, by eight tables. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  let at = 0;
  const whole = bytes.length - bytes.length % 8;
  while (at < whole) {
    const low = crc ^ (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24);
    crc = TABLES[1792 + (low & 255)]! ^ TABLES[1536 + (low >>> 8 & 255)]! ^
      TABLES[1280 + (low >>> 16 & 255)]! ^ TABLES[1024 + (low >>> 24)]! ^
      TABLES[768 + bytes[at + 4]!]! ^ TABLES[512 + bytes[at + 5]!]! ^
      TABLES[256 + bytes[at + 6]!]! ^ TABLES[bytes[at + 7]!]!;
    at += 8;
  }
  while (at < bytes.length) crc = TABLES[(crc ^ bytes[at++]!) & 255]! ^ crc >>> 8;
  return ~crc >>> 0;
}

const POLYNOMIAL = 0x82f63b78;
/** Table n at n × 256: what a byte does n bytes later. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256]!;
    tables[i] = tables[before & 255]! ^ before >>> 8;
  }
  return tables;
}
