import { createHash } from "node:crypto";
import { sanitise } from "../mod.ts";

/**
 * Source code of packages that people use, in twelve languages, brought by the languages' own clients from where they
 * are set to look; no code of theirs is run. `digest`: sha256 of the archive; Go's own sum; a crate's sha256.
 */
type Package = { readonly client: keyof typeof CLIENTS; readonly name: string; readonly digest: string };

const ENDINGS: Readonly<Record<string, RegExp>> = {
  TypeScript: /(?<!\.d)\.tsx?$/,
  JavaScript: /(?<!\.min)\.[cm]?jsx?$/,
  Python: /\.py$/,
  Go: /\.go$/,
  Java: /\.java$/,
  Kotlin: /\.kt$/,
  Rust: /\.rs$/,
  "C#": /\.cs$/,
  Ruby: /\.rb$/,
  PHP: /\.php$/,
  "documentation (Markdown)": /\.md$/,
  "C and C++": /\.(?:c|h|cc|cpp)$/,
};
export const LANGUAGES: readonly string[] = Object.keys(ENDINGS);

const npm = (name: string, digest: string): Package => ({ client: "npm", name, digest });
const PACKAGES: Readonly<Record<string, readonly Package[]>> = {
  TypeScript: [
    npm("rxjs@7.8.1", "c532167725ab7d085123209156c93cef22f2479cb9c8527060f1cd903aa9d149"),
    npm("mongodb@6.12.0", "0d31b6c6c10b7bce19448173cbe91414b213728d99dd3d894fc1cd7a2f78ebe2"),
    npm("ethers@6.13.4", "32aad3770eafe954d29bbb9fb44d16bddf1bb2c2d5c3b575a3ec5ca5b4fd8a1a"),
  ],
  JavaScript: [
    npm("lodash@4.17.21", "6a087ac9e5702a0c9d60fbcd48696012646ec8df1491dea472b150e79fcaf804"),
    npm("express@4.21.2", "fc43a91e7dc7affb53c6ad7123a4f35485ed3c45226ae7a3847b7738e783e008"),
    npm("mongodb@6.12.0", "0d31b6c6c10b7bce19448173cbe91414b213728d99dd3d894fc1cd7a2f78ebe2"),
  ],
  Python: [
    {
      client: "pip",
      name: "django==5.1.4",
      digest: "236e023f021f5ce7dee5779de7b286565fdea5f4ab86bae5338e3f7b69896cf0",
    },
    {
      client: "pip",
      name: "requests==2.32.3",
      digest: "70761cfe03c773ceb22aa2f671b4757976145175cdfca038c02654d061d6dcc6",
    },
  ],
  Go: [
    {
      client: "go",
      name: "golang.org/x/net@v0.33.0",
      digest: "h1:74SYHlV8BIgHIFC/LrYkOGIwL19eTYXQ5wc6TBuO36I=",
    },
    {
      client: "go",
      name: "github.com/gin-gonic/gin@v1.10.0",
      digest: "h1:nTuyha1TYqgedzytsKYqna+DfLos46nTv2ygFy86HFU=",
    },
  ],
  Java: [
    {
      client: "mvn",
      name: "com.google.guava:guava:33.3.1-jre:jar:sources",
      digest: "b7cbdad958b791f2a036abff7724570bf9836531c460966f8a3d0df8eaa1c21d",
    },
    {
      client: "mvn",
      name: "org.springframework:spring-web:6.2.1:jar:sources",
      digest: "de97567ea82305c7c9ed82b00a84218412ce5182b8860cee6c3eba7ce7e644b0",
    },
  ],
  Kotlin: [
    {
      client: "mvn",
      name: "com.squareup.okhttp3:okhttp:4.12.0:jar:sources",
      digest: "d91a769a4140e542cddbac4e67fcf279299614e8bfd53bd23b85e60c2861341c",
    },
    {
      client: "mvn",
      name: "org.jetbrains.kotlinx:kotlinx-coroutines-core-jvm:1.9.0:jar:sources",
      digest: "01e0f26a274d8f2f2ae702b161bc0980cea817bfcaf66ca4944434ea7b601771",
    },
  ],
  Rust: [
    {
      client: "cargo",
      name: "syn@2.0.92",
      digest: "70ae51629bf965c5c098cc9e87908a3df5301051a9e087d6f9bef5c9771ed126",
    },
    {
      client: "cargo",
      name: "url@2.5.4",
      digest: "32f8b686cadd1473f4bd0117a5d28d36b1ade384ea9b5069a1c40aefed7fda60",
    },
  ],
  "C#": [
    npm("com.neuecc.unirx@7.1.0", "df5dea1b6230cda196acebc148dc6ff44fb8c610652d89001c74172312cf2618"),
    npm("com.cysharp.unitask@2.2.5", "dd89936982fc32a962ac09db926ee0bcc7ca2ab9a02c1553393031345aaf7d2f"),
  ],
  Ruby: [{
    client: "mvn",
    name: "org.jruby:jruby-stdlib:9.4.9.0",
    digest: "a74c3d37ade320392a63915161b805afa0bd1230daa4c9d77a704851d8dda8a9",
  }],
  PHP: [
    npm(
      "@wordpress/block-library@9.14.0",
      "7c1c8e8dcfb146acca09dc3c85ac10c866f8d23f350733a0e4063ce789a26e2c",
    ),
  ],
  "documentation (Markdown)": [
    npm("mongodb@6.12.0", "0d31b6c6c10b7bce19448173cbe91414b213728d99dd3d894fc1cd7a2f78ebe2"),
    npm("express@4.21.2", "fc43a91e7dc7affb53c6ad7123a4f35485ed3c45226ae7a3847b7738e783e008"),
    npm("typeorm@0.3.20", "12d63383bfa712607fce9fcc3025a1087a18aa7b44b1c26d0ec62bde0ce47501"),
    npm("effect@3.12.0", "ce032d0785e27a0ee32dbf75561da4cc1b946c65c79cb4ca0b9c00ef093ec1cb"),
    npm("zod@3.24.1", "bce658d4d39b30b619970938bf7ff1b0554d3d2124194b6dbd0e10086dd56417"),
    npm("nodemailer@6.9.16", "2b06f251c370e362e1805baf33db5d5bdb1a2dadaf1eaf5c054b25dd76c7d270"),
    npm("ioredis@5.4.2", "c3c1ca1fe62e729b187820cd3890ad4ad675d19316370ecbd47206c31d551561"),
  ],
  "C and C++": [npm("re2@1.21.4", "9085f5013280cc1b3ea64e65ad6151012711ef73fed665eb921ee9e0ef791e71")],
};

/** Kept between runs, so that a package is asked for once. */
const CACHE = new URL("../../../node_modules/.cache/source-code/", import.meta.url).pathname;

/** Each brings a package's archive into an empty folder and unpacks it, and gives its digest; throws where it cannot. */
const CLIENTS = {
  npm: async (name: string, folder: string) => {
    await run("npm", ["pack", "--silent", "--ignore-scripts", name], folder);
    return await unpacked(folder, (archive) => run("tar", ["xzf", archive], folder));
  },
  pip: async (name: string, folder: string) => {
    await run("pip", ["download", "-q", "--no-deps", "--only-binary", ":all:", "-d", ".", name], folder);
    return await unpacked(folder, (archive) => run("python3", ["-m", "zipfile", "-e", archive, "."], folder));
  },
  mvn: async (name: string, folder: string) => {
    await run("mvn", ["-q", "dependency:copy", `-Dartifact=${name}`, "-DoutputDirectory=."], folder);
    return await unpacked(folder, (archive) => run("python3", ["-m", "zipfile", "-e", archive, "."], folder));
  },
  go: async (name: string, folder: string) => {
    const env = { GOMODCACHE: `${folder}/modules`, GOFLAGS: "-modcacherw" };
    return JSON.parse(await run("go", ["mod", "download", "-json", name], folder, env)).Sum as string;
  },
  cargo: async (name: string, folder: string) => {
    const [crate, version] = name.split("@") as [string, string];
    await Deno.mkdir(`${folder}/src`);
    await Deno.writeTextFile(`${folder}/src/lib.rs`, "");
    await Deno.writeTextFile(
      `${folder}/Cargo.toml`,
      `[package]\nname = "code"\nversion = "0.0.0"\n[dependencies]\n${crate} = "=${version}"\n[workspace]\n`,
    );
    await run("cargo", ["vendor", "-q"], folder);
    return JSON.parse(await Deno.readTextFile(`${folder}/vendor/${crate}/.cargo-checksum.json`))
      .package as string;
  },
};

async function run(
  command: string,
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const signal = AbortSignal.timeout(FETCH_MS_MAX);
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, env, signal }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).slice(0, 300)}`);
  }
  return new TextDecoder().decode(stdout);
}

const FETCH_MS_MAX = 60_000;

async function unpacked(folder: string, unpack: (archive: string) => Promise<unknown>): Promise<string> {
  const [archive] = [...Deno.readDirSync(folder)];
  const digest = createHash("sha256").update(await Deno.readFile(`${folder}/${archive!.name}`)).digest("hex");
  await unpack(archive!.name);
  return digest;
}

/** The folders of a language's packages, brought if they are not here; null with what is missing where they cannot be. */
export async function sourcesOf(language: string): Promise<{ folders: string[] } | { missing: string }> {
  const folders: string[] = [];
  for (const { client, name, digest } of PACKAGES[language]!) {
    const folder = CACHE + digest.replace(/[^\w]/g, "").slice(0, 24);
    folders.push(folder);
    if (await Deno.stat(folder).then(() => true, () => false)) continue;
    await Deno.mkdir(CACHE, { recursive: true });
    const fresh = await Deno.makeTempDir({ dir: CACHE });
    let found: string;
    try {
      found = await CLIENTS[client](name, fresh);
    } catch (error) {
      await Deno.remove(fresh, { recursive: true });
      return { missing: `${name}: ${(error as Error).message}` };
    }
    if (found !== digest) throw new Error(`${name} is another one than it was: ${found}`);
    await Deno.rename(fresh, folder);
  }
  return { folders };
}

export type Hit = {
  readonly entity: string;
  readonly value: string;
  readonly around: string;
  readonly file: string;
};

/** Every place that the sanitiser would replace in a language's files of at most 500 KB, up to so many bytes of code. */
export function hitsIn(language: string, folders: readonly string[], bytesMax: number) {
  const seen = new Set<string>();
  const hits: Hit[] = [];
  let bytes = 0;
  for (const file of folders.flatMap((folder) => filesIn(folder, ENDINGS[language]!))) {
    const { size } = Deno.statSync(file);
    if (size > 500_000 || bytes > bytesMax) continue;
    const text = new TextDecoder().decode(Deno.readFileSync(file));
    // What is built or encoded is no source; what stands twice counts once.
    if (text.length > 300 * text.split("\n").length || seen.has(text)) continue;
    seen.add(text);
    bytes += size;
    for (const { start, end, entity } of sanitise(text).spans) {
      const around = text.slice(Math.max(0, start - 50), end + 30).replaceAll(/\s+/g, " ");
      hits.push({ entity, value: text.slice(start, end), around, file: file.slice(CACHE.length) });
    }
  }
  return { bytes, hits };
}

/** In the order of a hash of their names, so that the first bytes are of everywhere. */
function filesIn(folder: string, ending: RegExp): string[] {
  const files: string[] = [];
  for (const { name, isDirectory, isFile } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) files.push(...filesIn(path, ending));
    else if (isFile && ending.test(name)) files.push(path);
  }
  const rank = (path: string) => createHash("md5").update(path.slice(CACHE.length)).digest("hex");
  return files.map((path) => [rank(path), path] as const).sort().map(([, path]) => path);
}

/** What stands in these packages and is what it looks like: an address, a key, an example of one. By reason. */
export const TRUE_FINDS: readonly { readonly reason: string; readonly is: (hit: Hit) => boolean }[] = [
  {
    reason: "the address of an author, of who reported a fault, or of an example",
    is: ({ entity, value }) =>
      entity === "EMAIL_ADDRESS" && /(?:@|\(at\)| at )[\p{L}\d.-]+\.[a-z]{2,8}$/iu.test(value),
  },
  {
    reason: "an address of a network, in tests and comments",
    is: ({ entity }) => /^(?:IP|MAC)_/.test(entity),
  },
  {
    reason: "a wallet's address, in the examples of a library for wallets",
    is: ({ entity, value }) => entity === "CRYPTO" && /^0x[0-9a-fA-F]{40}$/.test(value),
  },
  {
    reason: "a password in an address or a connection string of an example",
    is: ({ entity, around }) => entity === "PASSWORD" && /:\/\/[^ ]*:[^ ]*@|PWD=/i.test(around),
  },
  {
    reason: "a password assigned in an example",
    is: ({ entity, value }) =>
      entity === "PASSWORD" && /^(?:hunter2|0wn3d|V3ry_S3nsit1ve|password-for-30001)$/.test(value),
  },
  {
    reason: "the library's own keys to services, published with it",
    is: ({ entity, around }) => entity === "API_KEY" && /default(?:ApiKey|Token) = /.test(around),
  },
  {
    reason: "a token, a nonce or an encoded name and password of a test",
    is: ({ value }) =>
      /^(?:0102030405060708090a0b0c0d0e0f10|dGhlIHNhbXBsZSBub25jZQ==|Zm9vOmJhcg==|YWRtaW46cGFzc3dvcmQ=)$/
        .test(value),
  },
  {
    reason: "the cookie of RFC 7541's examples",
    is: ({ value }) => value === "ASDJKHQKBZXOQWEOPIUAXQWEOIU",
  },
  {
    reason: "a telephone number that regular expressions are tried with",
    is: ({ entity, value }) => entity === "PHONE_NUMBER" && /650\)?[- ]253-0001$/.test(value),
  },
  { reason: "an example of a sentence: My name is Bob", is: ({ value }) => value === "Bob" },
];
