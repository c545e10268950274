import { type Connection, openForReading } from "./file.ts";
import { retryWhileBusy } from "./writer.ts";
import { LogUnavailableError } from "../topic.ts";

const POLL_MS = 10;
const BUSY_MS_MAX = 5_000;

/** One read-only connection to one file, which may be made later; it also tells when the file has changed. */
export class SqliteReader {
  #connection: Connection | null = null;
  #opened = 0;
  #poll: ReturnType<typeof setInterval> | undefined;
  readonly #waiting = new Set<{ readonly seen: string; readonly wake: () => void }>();

  constructor(readonly path: string) {}

  /**
   * Runs `work` on the open file, or on null while there is none, with the version (see {@link changed}) from before
   * the work. A lock that others hold for a moment (recovery after a crash) is waited for; {@link LogUnavailableError}
   * where the file cannot be read.
   */
  async look<T>(work: (connection: Connection | null, version: string) => T): Promise<T> {
    return await retryWhileBusy(() => {
      const connection = this.#open();
      return work(connection, this.#versionOf(connection));
    }, { doing: `read the log file "${this.path}"`, msMax: BUSY_MS_MAX, broken: () => this.close() });
  }

  /** Like {@link look}, for what is known to be there. */
  async lookInside<T>(work: (connection: Connection, version: string) => T): Promise<T> {
    return await this.look((connection, version) => {
      if (connection) return work(connection, version);
      throw new LogUnavailableError(
        `Cannot read the log file "${this.path}": it has gone. Restore it from a backup.`,
      );
    });
  }

  /**
   * Resolves, within {@link POLL_MS}, when the file's version is not `seen` any more, or when `signal` aborts. The
   * version is another one after any commit to the file; since a look takes it before it reads, nothing is missed.
   */
  changed(seen: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = () => {
        this.#waiting.delete(waiter);
        signal.removeEventListener("abort", wake);
        if (this.#waiting.size === 0) this.#stopPolling();
        resolve();
      };
      const waiter = { seen, wake };
      this.#waiting.add(waiter);
      signal.addEventListener("abort", wake, { once: true });
      this.#poll ??= setInterval(() => this.wakeWhereChanged(), POLL_MS);
    });
  }

  /** Looks now and not at the next poll: for whoever knows that it has just committed. */
  wakeWhereChanged(): void {
    if (this.#waiting.size === 0) return;
    const version = this.#versionOrFault();
    for (const { seen, wake } of [...this.#waiting]) if (seen !== version) wake();
  }

  /** The connection is opened again by the next look; who waits goes on waiting. */
  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  #versionOf(connection: Connection | null): string {
    // data_version counts per connection, so it must stay open between two calls, and a new one counts anew.
    return connection
      ? `${this.#opened}.${connection.first<[number]>("pragma data_version")![0]}`
      : "missing";
  }

  #open(): Connection | null {
    if (this.#connection) return this.#connection;
    this.#connection = openForReading(this.path);
    if (this.#connection) this.#opened++;
    return this.#connection;
  }

  /** A fault wakes everybody: each meets it in a look of its own, which knows how to wait or whom to tell. */
  #versionOrFault(): string {
    try {
      return this.#versionOf(this.#open());
    } catch {
      return "fault";
    }
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}
