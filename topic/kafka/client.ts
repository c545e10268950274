import { Kafka, logLevel, type SASLOptions } from "kafkajs";
import * as net from "node:net";
import * as tls from "node:tls";
import type { KafkaConfig, LogRole } from "../log_config.ts";
import { keepBrokerWords } from "./broker_words.ts";
import { repairClient } from "./kafkajs_repairs.ts";

const CONNECTION_TIMEOUT_MS = 1_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** How long before its end a login is renewed, in ms; the broker takes a renewal a second after the last. */
const LOGIN_AGAIN_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;
/** How often a send is tried again before it is given back: about 5 s in all. The spool or the caller goes on from there. */
export const SEND_RETRIES = 6;
export const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: SEND_RETRIES };

/** The client, repaired, on the brokers and with the login of the configuration, of which it gets copies. */
export function createClient(config: KafkaConfig, role: LogRole): Kafka {
  repairClient();
  keepBrokerWords();
  const { ssl, sasl } = config;
  return new Kafka({
    clientId: `pipeline-${role}`,
    brokers: config.brokers.map(hidingColons),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    reauthenticationThreshold: LOGIN_AGAIN_MS,
    retry: RETRY,
    logLevel: logLevel.NOTHING,
    socketFactory,
    ...(ssl === null ? {} : {
      ssl: {
        // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not hand the password to anybody.
        rejectUnauthorized: true,
        ...(ssl.ca === null ? {} : { ca: ssl.ca }),
        ...(ssl.cert === null ? {} : { cert: ssl.cert }),
        ...(ssl.key === null ? {} : { key: ssl.key }),
      },
    }),
    // It writes a function into this object, and the configuration is posted to Workers.
    ...(sasl === null ? {} : { sasl: { ...sasl } as SASLOptions }),
  });
}

/** The client cuts an address at its first colon, an IPv6 one within its brackets. */
function hidingColons(broker: string): string {
  return broker.replace(/^\[(.*)\]/, (_, address) => `[${address.replaceAll(":", "_")}]`);
}

function shown(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1).replaceAll("_", ":") : host;
}

type SocketRequest = {
  readonly host: string;
  readonly port: number;
  readonly ssl?: tls.ConnectionOptions;
  readonly onConnect: () => void;
};

/** As the client's own, for {@link hidingColons}. */
function socketFactory({ host: hidden, port, ssl, onConnect }: SocketRequest): net.Socket {
  const host = shown(hidden);
  const at = { host, port };
  const socket = ssl
    ? tls.connect({ ...at, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
    : net.connect(at, onConnect);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}
