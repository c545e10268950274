/** Who reads the dataset, or builds one from the log, cannot go on; the message says what to do. Nothing is changed. */
export class DatasetReadError extends Error {
  override name = "DatasetReadError";
}
