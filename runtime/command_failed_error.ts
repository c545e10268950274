/** The command could not do its work, or found what it was asked to look for: exit code 1. */
export class CommandFailedError extends Error {
  override name = "CommandFailedError";
}
