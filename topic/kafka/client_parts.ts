import { createRequire } from "node:module";

/** A module of kafkajs 2.2.4 that its public face hides, by its path below `src/`. */
export function inside(path: string): unknown {
  return createRequire(import.meta.url)(`kafkajs/src/${path}`);
}

/** What an error of kafkajs 2.2.4 says beside its name, once `keepBrokerWords` has run. */
export type BrokerWords = {
  /** The request that failed, by its name in the protocol. */
  readonly request?: string;
  /** The broker's own sentence. */
  readonly brokerSays?: string;
};

/** The client's error for one of Kafka's numbers in an answer to `request`; `about` stands before its words. */
export function protocolError(code: number, { request, about }: { request: string; about?: string }): Error {
  const { createErrorFromCode } = inside("protocol/error") as { createErrorFromCode(code: number): Error };
  const error = createErrorFromCode(code);
  if (about !== undefined) error.message = `${about}: ${error.message}`;
  return Object.assign(error, { request } satisfies BrokerWords);
}
