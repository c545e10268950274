import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type S3Server, startS3, whyNoS3 } from "../../../../tests/support/s3/servers.ts";
import { textOf } from "../../../../tests/support/arrows.ts";

/** Each source in a process of its own, with the permissions that a service has and nothing else in its environment. */
const TASK: string = JSON.parse(textOf("deno.json")).tasks.processor;
const PERMISSIONS = TASK.split(" ").filter((word) => /^--(no-prompt|allow-)/.test(word));

let why: string | null;
let server: S3Server;
let home: string;
/** What hands out keys over HTTP: a container's agent, the metadata of a machine. */
let agent: Deno.HttpServer<Deno.NetAddr>;

beforeAll(async () => {
  why = await whyNoS3("versitygw");
  if (why !== null) return;
  server = await startS3("versitygw");
  home = await Deno.makeTempDir({ prefix: "home-" });
  Deno.mkdirSync(join(home, ".aws"));
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = server.env;
  Deno.writeTextFileSync(
    join(home, ".aws", "credentials"),
    `[writer]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`,
  );
  const keys = {
    AccessKeyId: id,
    SecretAccessKey: secret,
    Token: "",
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  };
  agent = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    await request.body?.cancel();
    const { pathname } = new URL(request.url);
    if (pathname === "/latest/api/token") return new Response("token");
    if (pathname.endsWith("/security-credentials/")) return new Response("writer");
    return Response.json({ Code: "Success", ...keys });
  });
}, 1_000_000);
afterAll(async () => {
  await agent?.shutdown();
  await server?.stop();
  if (home !== undefined) await Deno.remove(home, { recursive: true });
});

async function putAndGet(credentials: Record<string, string>): Promise<string> {
  const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...place } = server.env;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...PERMISSIONS, "tests/support/s3/put_and_get.ts"],
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      DENO_DIR: Deno.env.get("DENO_DIR") ?? join(Deno.env.get("HOME")!, ".cache", "deno"),
      AWS_EC2_METADATA_DISABLED: "true",
      ...place,
      ...credentials,
    },
  }).output();
  const said = new TextDecoder();
  return said.decode(stdout).trim() || said.decode(stderr);
}

describe("Credentials of the bucket", () => {
  const from = (name: string, credentials: () => Record<string, string>, answer: RegExp) =>
    test(name, async (running) => {
      if (why !== null) return running.skip(why);
      expect(await putAndGet(credentials())).toMatch(answer);
    });
  const address = () => `http://127.0.0.1:${agent.addr.port}`;

  from("are those of the environment", () => ({
    AWS_ACCESS_KEY_ID: server.env.AWS_ACCESS_KEY_ID!,
    AWS_SECRET_ACCESS_KEY: server.env.AWS_SECRET_ACCESS_KEY!,
  }), /^gotten$/);
  from("are those of a profile", () => ({ HOME: home, AWS_PROFILE: "writer" }), /^gotten$/);
  from(
    "are those of a container's role",
    () => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${address()}/role` }),
    /^gotten$/,
  );
  from("are those of a machine's role", () => ({
    AWS_EC2_METADATA_DISABLED: "false",
    AWS_EC2_METADATA_SERVICE_ENDPOINT: address(),
  }), /^gotten$/);
  from(
    "are asked for where there are none",
    () => ({}),
    /^ObjectStoreSetupError: Cannot open s3:\/\/dataset: .*Give the process credentials/,
  );

  test("are those of a web identity, as a pod has one", async (running) => {
    const absence = why ?? await whyNoS3("moto");
    if (absence !== null) return running.skip(absence);
    const tokens = await startS3("moto");
    const token = join(home, "token");
    Deno.writeTextFileSync(token, "header.payload.signature");
    const said = await putAndGet({
      ...tokens.env,
      AWS_ACCESS_KEY_ID: "",
      AWS_SECRET_ACCESS_KEY: "",
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/writer",
    });
    await tokens.stop();
    expect(said).toBe("gotten");
  });
});
