/**
 * Gives memory back at once where a buffer is all of these bytes: the garbage collector waits for its own heap to fill, to
 * which megabytes outside it are next to nothing.
 */
export function giveBack({ buffer, length }: Uint8Array): void {
  // Less is a part of somebody's pool.
  if (length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
