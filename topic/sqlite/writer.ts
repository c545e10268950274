import { backOffMs } from "../../runtime/retry.ts";
import { type Connection, isBusy, isSqliteError, openForWriting, type WriteOptions } from "./file.ts";
import { LogUnavailableError } from "../topic.ts";

/** `busyTimeoutMs` blocks the thread, so it is short, and the long wait is `busyMsMax`, which does not. */
export type WriterOptions = WriteOptions & {
  /** Gives up with {@link LogUnavailableError} when another writer has held the file for so long, in ms. */
  readonly busyMsMax: number;
};

/**
 * One writing connection to one file, opened at its first use.
 *
 * A transaction runs without a break from `begin immediate` to `commit`, so whoever shares the writer never meets a
 * half-done one, and what it reads (next offsets) is what it writes on, whoever else writes the file.
 */
export class SqliteWriter {
  #connection: Connection | null = null;

  constructor(readonly path: string, private readonly options: WriterOptions) {}

  /**
   * Runs `work` in a transaction of its own. While another process writes, waits without blocking the thread and tries
   * again: `work` must do nothing that a second run would double. Errors that `work` throws roll back and come through;
   * SQLite's become {@link LogUnavailableError}.
   */
  async transaction<T>(work: (connection: Connection) => T): Promise<T> {
    const doing = `write the log file "${this.path}"`;
    return await retryWhileBusy(() => this.#attempt(work), { doing, msMax: this.options.busyMsMax });
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  #attempt<T>(work: (connection: Connection) => T): T {
    const connection = this.#connection ??= openForWriting(this.path, this.options);
    try {
      connection.run("begin immediate");
      const result = work(connection);
      connection.run("commit");
      return result;
    } catch (error) {
      this.#abandon(connection, error);
      throw error;
    }
  }

  /** After an error of the disk the descriptor is not trusted with another fsync: the next attempt opens a new one. */
  #abandon(connection: Connection, error: unknown): void {
    try {
      if (connection.database.isTransaction) connection.run("rollback");
      if (!isSqliteError(error) || isBusy(error)) return;
    } catch {
      // A rollback that fails leaves the connection unusable; closing it below rolls back as well.
    }
    this.#connection = null;
    connection.close();
  }
}

/**
 * Calls `attempt` until it meets no lock, with growing waits between; what SQLite says else, or still says after `msMax`,
 * becomes {@link LogUnavailableError}. `broken` is called where it was no lock.
 */
export async function retryWhileBusy<T>(
  attempt: () => T,
  { doing, msMax, broken }: { readonly doing: string; readonly msMax: number; readonly broken?: () => void },
): Promise<T> {
  const end = performance.now() + msMax;
  for (let failures = 1;; failures++) {
    try {
      return attempt();
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      if (!isBusy(error)) broken?.();
      if (!isBusy(error) || performance.now() > end) {
        throw new LogUnavailableError(`Cannot ${doing}: ${error.message}.`, { cause: error });
      }
    }
    await pause(backOffMs(failures, { msFirst: 1, msMax: 50 }));
  }
}

/** Waits in milliseconds; 0 is one turn of the event loop. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms));
}
