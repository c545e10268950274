/** The dataset is in a state from which going on would lose or double lines; an operator has to act. */
export class DatasetStateError extends Error {
  override name = "DatasetStateError";
  constructor(
    readonly code:
      | "dataset_no_link"
      | "dataset_no_manifest"
      | "dataset_damaged"
      | "dataset_file_short"
      | "dataset_window"
      | "dataset_gap"
      | "dataset_other_topic"
      | "dataset_names_meet"
      | "dataset_replaced",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
