/** The batch unpacks to more than may be held in memory. */
export class TooLargeError extends Error {
  override name = "TooLargeError";
  constructor(bytesMax: number) {
    super(`it unpacks to more than ${Math.floor(bytesMax / 1024 / 1024)} MiB, the most that is taken`);
  }
}
