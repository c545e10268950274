import { type BrokerWords, inside } from "./client_parts.ts";

/** What kafkajs 2.2.4 leaves out of its errors is kept: once per process. */
export function keepBrokerWords(): void {
  if (isKept) return;
  isKept = true;
  nameRequests();
  nameWhyNoBrokerHelped();
}

let isKept = false;

type Sent = {
  readonly request: { readonly apiName?: string };
  readonly response: {
    decode(raw: unknown): Promise<unknown>;
    parse(decoded: unknown): Promise<unknown>;
  };
};

/** kafkajs throws away the sentence beside an error's code, and never says which request was refused. */
function nameRequests(): void {
  const Connection = inside("network/connection") as { prototype: { send(sent: Sent): Promise<unknown> } };
  const original = Connection.prototype.send;
  Connection.prototype.send = function (sent) {
    const parse = async (decoded: unknown) => {
      try {
        return await sent.response.parse(decoded);
      } catch (error) {
        const words: BrokerWords = { request: sent.request.apiName, brokerSays: sentenceIn(decoded) };
        throw Object.assign(error as Error, words);
      }
    };
    return original.call(this, { ...sent, response: { ...sent.response, parse } });
  };
}

/** Answers about several resources hold a sentence each; ours are about one. */
function sentenceIn(decoded: unknown): string | undefined {
  if (typeof decoded !== "object" || decoded === null) return undefined;
  const { errorMessage } = decoded as { errorMessage?: unknown };
  if (typeof errorMessage === "string" && errorMessage !== "") return errorMessage;
  const lists = Object.values(decoded).filter((value) => Array.isArray(value));
  return lists.flat().map(sentenceIn).find((sentence) => sentence !== undefined);
}

type Ask = (answerer: unknown) => Promise<unknown>;

/** Where every broker refuses, kafkajs answers null and forgets why: a group that may not be described looked absent. */
function nameWhyNoBrokerHelped(): void {
  const BrokerPool = inside("cluster/brokerPool") as {
    prototype: { withBroker(ask: Ask): Promise<unknown> };
  };
  const original = BrokerPool.prototype.withBroker;
  BrokerPool.prototype.withBroker = async function (ask) {
    let why: unknown;
    const answer = await original.call(this, (answerer) =>
      ask(answerer).catch((error) => {
        why = error;
        throw error;
      }));
    if (answer === null && why !== undefined) throw why;
    return answer;
  };
}
