import { join } from "node:path";
import { freePort, type KafkaBroker, startKafkaBroker } from "./kafka_broker.ts";

/** A broker that asks who one is, by each way in, and an authorizer: who is no super user may do nothing. */
export type SecuredBroker = {
  readonly broker: KafkaBroker;
  /** What a service's environment says for a way in: TLS, a client certificate, a password, TLS and a password, IPv6. */
  readonly routes: Readonly<Record<"tls" | "mutual" | "sasl" | "both" | "six", Record<string, string>>>;
  stop(): Promise<void>;
};

/** Of every user. */
export const PASSWORD = "right-password";

/** The login of a user, by password. */
export const user = (mechanism: string, username: string, password = PASSWORD): Record<string, string> => ({
  KAFKA_SASL_MECHANISM: mechanism,
  KAFKA_SASL_USERNAME: username,
  KAFKA_SASL_PASSWORD: password,
});

/** Super users are `plain` (PLAIN), `scram` (both SCRAMs) and the client's certificate; `others` are users of PLAIN. */
export async function startSecuredBroker(
  { others, reauthMs = 0 }: {
    readonly others: readonly string[];
    /** How long a login by password holds, in ms; 0: for ever. */
    readonly reauthMs?: number;
  },
): Promise<SecuredBroker> {
  const dir = await Deno.makeTempDir({ prefix: "kafka-security-" });
  await Promise.all([makeServerKey(dir), makeClientKey(dir)]);
  const ports = { tls: freePort(), mutual: freePort(), sasl: freePort(), both: freePort(), six: freePort() };
  const broker = await startKafkaBroker({
    security: {
      listeners: [
        { name: "TLS", protocol: "SSL", port: ports.tls },
        { name: "MUTUAL", protocol: "SSL", port: ports.mutual },
        { name: "SASL", protocol: "SASL_PLAINTEXT", port: ports.sasl },
        { name: "BOTH", protocol: "SASL_SSL", port: ports.both },
        ...(hasIpv6() ? [{ name: "SIX", protocol: "PLAINTEXT", port: ports.six, host: "[::1]" }] : []),
      ],
      properties: `${securityProperties(dir, ["plain", ...others])}\nconnections.max.reauth.ms=${reauthMs}`,
      scramUsers: ["SCRAM-SHA-256", "SCRAM-SHA-512"].map((name) =>
        `${name}=[name=scram,password=${PASSWORD}]`
      ),
    },
  });
  const at = (port: number) => ({ KAFKA_BROKERS: `127.0.0.1:${port}` });
  const ca = { KAFKA_SSL_CA: join(dir, "ca.pem") };
  const certificate = { KAFKA_SSL_CERT: join(dir, "client.pem"), KAFKA_SSL_KEY: join(dir, "client.key") };
  return {
    broker,
    routes: {
      tls: { ...at(ports.tls), ...ca },
      mutual: { ...at(ports.mutual), ...ca, ...certificate },
      sasl: at(ports.sasl),
      both: { ...at(ports.both), ...ca },
      six: { KAFKA_BROKERS: `[::1]:${ports.six}` },
    },
    async stop() {
      await broker.stop();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Whether this machine has a loopback address of IPv6: without it nothing can listen there. */
export function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

async function run(program: string, dir: string, args: readonly string[]): Promise<void> {
  const { code, stderr, stdout } = await new Deno.Command(program, { args: [...args], cwd: dir }).output();
  const said = new TextDecoder().decode(code === 0 ? undefined : stderr.length > 0 ? stderr : stdout);
  if (code !== 0) throw new Error(`${program} failed: ${said}`);
}

async function makeServerKey(dir: string): Promise<void> {
  const store = ["-keystore", "server.p12", "-storepass", "changeit", "-alias", "server"];
  const who = ["-dname", "CN=broker", "-ext", "san=ip:127.0.0.1", "-validity", "30"];
  await run("keytool", dir, ["-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", ...store, ...who]);
  await run("keytool", dir, ["-exportcert", "-rfc", "-file", "ca.pem", ...store]);
}

async function makeClientKey(dir: string): Promise<void> {
  const files = ["-keyout", "client.key", "-out", "client.pem"];
  await run("openssl", dir, [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=client"],
    ...files,
  ]);
}

function securityProperties(dir: string, plainUsers: readonly string[]): string {
  const login = "org.apache.kafka.common.security";
  const users = plainUsers.map((name) => `user_${name}="${PASSWORD}"`).join(" ");
  const tls = ["tls", "mutual", "both"].map((name) =>
    `listener.name.${name}.ssl.keystore.type=PKCS12
listener.name.${name}.ssl.keystore.location=${join(dir, "server.p12")}
listener.name.${name}.ssl.keystore.password=changeit
listener.name.${name}.ssl.key.password=changeit`
  );
  const sasl = ["sasl", "both"].map((name) =>
    `listener.name.${name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.${name}.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required ${users};
listener.name.${name}.scram-sha-256.sasl.jaas.config=${login}.scram.ScramLoginModule required;
listener.name.${name}.scram-sha-512.sasl.jaas.config=${login}.scram.ScramLoginModule required;`
  );
  return [
    ...tls,
    ...sasl,
    "listener.name.mutual.ssl.client.auth=required",
    "listener.name.mutual.ssl.truststore.type=PEM",
    `listener.name.mutual.ssl.truststore.location=${join(dir, "client.pem")}`,
    "log.cleaner.backoff.ms=200",
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS;User:plain;User:scram;User:CN=client",
  ].join("\n");
}
