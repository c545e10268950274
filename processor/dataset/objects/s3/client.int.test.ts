import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { ListObjectVersionsCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import {
  type ChooseFault,
  faultFor,
  type FaultProxy,
  startFaultProxy,
} from "../../../../tests/support/s3/fault_proxy.ts";
import { until } from "../../../../tests/support/until.ts";
import {
  S3_KINDS,
  type S3Kind,
  type S3Server,
  startS3,
  whyNoS3,
} from "../../../../tests/support/s3/servers.ts";
import { type ListedObject, type ObjectStore, ObjectStoreAwayError } from "../object_store.ts";
import { ObjectStoreSetupError } from "../object_store.ts";
import { openS3, S3_LIMITS } from "./client.ts";

/** No attempt after the first, so that what a fault does is what is seen. */
const ONCE = { ...S3_LIMITS, attemptsMax: 1 };

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array | null) => bytes === null ? null : new TextDecoder().decode(bytes);

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix))).map(({ key }) => key).sort();
}

async function blocksOf(store: ObjectStore, key: string, from = 0): Promise<Uint8Array[]> {
  const body = await store.read(key, { from });
  const blocks = [];
  for await (const block of body!.blocks) blocks.push(block.slice());
  return blocks;
}

describe.each(S3_KINDS)("A bucket of %s", (kind: S3Kind) => {
  let why: string | null;
  let server: S3Server;
  let store: ObjectStore;
  let proxy: FaultProxy;
  /** The same bucket, by way of the proxy. */
  let behind: ObjectStore;

  beforeAll(async () => {
    why = await whyNoS3(kind);
    if (why !== null) return;
    server = await startS3(kind);
    store = await openS3({ ...server.config, prefix: "teams/a" });
    proxy = startFaultProxy(server.config.endpoint!);
    behind = await openS3({ ...server.config, prefix: "teams/a", endpoint: proxy.endpoint }, ONCE);
  }, 1_000_000);
  afterAll(async () => {
    store?.close();
    behind?.close();
    await proxy?.stop();
    await server?.stop();
  });

  const where = (name: string, run: () => Promise<void>) =>
    test(name, async (running) => {
      if (why !== null) return running.skip(why);
      proxy.choose = () => null;
      await run();
    });
  const during = (choose: ChooseFault) => proxy.choose = choose;

  where("gives back what was put, below its prefix, under names that need escapes", async () => {
    const key = "b1/event=%24x%2Fy/date=2026-01-01/p00003-1.jsonl";
    await store.put(key, bytesOf("one\n"));
    await store.put(key, bytesOf("one\n"));
    expect(textOf(await store.get(key))).toBe("one\n");
    expect(await store.get("b1/none")).toBeNull();
    expect(await store.read("b1/none")).toBeNull();
    expect(await keysOf(store, "b1/event=%24")).toEqual([key]);
    const [listed] = await Array.fromAsync(store.list("b1/")) as [ListedObject];
    expect(listed.bytes).toBe(4);
    expect(Math.abs(listed.modifiedAt - Date.now())).toBeLessThan(60_000);
    const root = await openS3(server.config);
    expect(await keysOf(root, "teams/a/b1/")).toEqual([`teams/a/${key}`]);
    expect([store.place, root.place]).toEqual(["s3://dataset/teams/a", "s3://dataset"]);
    root.close();
  });

  where("keeps an object of no bytes", async () => {
    await store.put("empty", new Uint8Array(0));
    expect(await store.get("empty")).toEqual(new Uint8Array(0));
  });

  where("lets one of four creators win, whoever it is, and each loser finds the winner's bytes", async () => {
    let told = 0;
    for (let round = 0; round < 25; round++) {
      const key = `races/${round}`;
      const names = ["a", "b", "c", "d"];
      const said = await Promise.all(names.map((name) => store.create(key, bytesOf(name))));
      const winners = names.filter((_, i) => said[i] === "created");
      // Where a connection ends without an answer the client asks again, and the winner is told "unsure" too.
      expect(winners.length, key).toBeLessThanOrEqual(1);
      expect(winners.length === 1 ? winners : names).toContain(textOf(await store.get(key)));
      told += winners.length;
    }
    expect(told).toBeGreaterThan(0);
  });

  where("creates nothing over what was put", async () => {
    await store.put("taken", bytesOf("first"));
    expect(await store.create("taken", bytesOf("second"))).toBe("unsure");
    expect(textOf(await store.get("taken"))).toBe("first");
  });

  where("reads an object of 64 MiB in blocks, from any byte to its end", async () => {
    const big = new Uint8Array(64 * 1024 * 1024).map((_, n) => n >> 12);
    await store.put("big", big);
    const blocks = await blocksOf(store, "big");
    expect(blocks.length).toBeGreaterThan(1);
    expect(Math.max(...blocks.map(({ length }) => length))).toBeLessThan(1024 * 1024);
    expect(
      await new Blob(blocks as BlobPart[]).arrayBuffer().then((all) => sameBytes(new Uint8Array(all), big)),
    )
      .toBe(true);
    const from = big.length - 5;
    expect(await store.read("big", { from }).then((body) => body!.bytes)).toBe(big.length);
    expect((await blocksOf(store, "big", from)).map((block) => [...block]).flat()).toEqual([
      ...big.slice(from),
    ]);
    expect(await blocksOf(store, "big", big.length)).toEqual([]);
    await store.remove(["big"]);
  });

  where("stops reading when it is told to", async () => {
    await store.put("long", new Uint8Array(8 * 1024 * 1024));
    const stop = new AbortController();
    const body = await store.read("long", { signal: stop.signal });
    await expect((async () => {
      for await (const _ of body!.blocks) stop.abort(new Error("enough"));
    })()).rejects.toThrow("enough");
    await expect(store.read("long", { signal: stop.signal })).rejects.toThrow("enough");
  });

  where("lists more than a thousand keys, each once, and removes them all", async () => {
    const keys = Array.from({ length: 1_205 }, (_, n) => `many/${n}`);
    await Promise.all(keys.map((key) => store.put(key, bytesOf(key))));
    expect(await keysOf(store, "many/")).toEqual(keys.toSorted());
    await store.remove([...keys, "many/none"]);
    expect(await keysOf(store, "many/")).toEqual([]);
    await store.remove([]);
  });

  where("ends uploads in parts that nobody has finished, below a prefix", async () => {
    const client = new S3Client({
      endpoint: server.config.endpoint!,
      region: "us-east-1",
      forcePathStyle: true,
    });
    const bucket = { Bucket: "dataset" };
    for (const Key of ["teams/a/up/1", "teams/a/up/2", "teams/a/other"]) {
      await client.send(new CreateMultipartUploadCommand({ ...bucket, Key }));
    }
    await store.abortUploads("up/");
    const { Uploads } = await client.send(new ListMultipartUploadsCommand(bucket));
    expect(Uploads!.map(({ Key }) => Key)).toEqual(["teams/a/other"]);
    client.destroy();
  });

  where("says what to do where the bucket or the credentials are wrong", async () => {
    const elsewhere = await openS3({ ...server.config, bucket: "none-such" });
    const setup = async (act: Promise<unknown>, words: RegExp) => {
      const error = await act.catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ObjectStoreSetupError);
      expect((error as Error).message).toMatch(words);
    };
    const noBucket = /^Cannot .* in s3:\/\/none-such: the server answers 404 NoSuchBucket .*Make the bucket/;
    await setup(elsewhere.get("a"), noBucket);
    await setup(elsewhere.put("a", bytesOf("x")), noBucket);
    await setup(elsewhere.create("a", bytesOf("x")), noBucket);
    await setup(Array.fromAsync(elsewhere.list("")), noBucket);
    await setup(elsewhere.remove(["a"]), noBucket);
    elsewhere.close();
    if (kind === "moto") return; // It looks at no key.
    Deno.env.set("AWS_SECRET_ACCESS_KEY", "another");
    const stranger = await openS3(server.config);
    Deno.env.set("AWS_SECRET_ACCESS_KEY", server.env.AWS_SECRET_ACCESS_KEY!);
    await setup(stranger.get("a"), /answers 403 SignatureDoesNotMatch .*Check the credentials/);
    await setup(stranger.create("a", bytesOf("x")), /answers 403 .*Check the credentials/);
    stranger.close();
  });

  where("is unsure of a creation whose answer is lost, and finds it there", async () => {
    during(faultFor(({ creates }) => creates, { kind: "lose answer" }));
    expect(await behind.create("lost/1", bytesOf("mine"))).toBe("unsure");
    expect(textOf(await behind.get("lost/1"))).toBe("mine");
  });

  where("is unsure of a creation that never arrived, and finds nothing", async () => {
    during(faultFor(({ creates }) => creates, { kind: "lose request" }));
    expect(await behind.create("lost/2", bytesOf("mine"))).toBe("unsure");
    expect(await behind.get("lost/2")).toBeNull();
  });

  where("is unsure of a creation that succeeded and was answered with 412, or with 503", async () => {
    during(faultFor(({ creates }) => creates, { kind: "late 412" }));
    expect(await behind.create("late", bytesOf("mine"))).toBe("unsure");
    expect(textOf(await behind.get("late"))).toBe("mine");
    during(faultFor(({ creates }) => creates, { kind: "slow down" }));
    expect(await behind.create("busy", bytesOf("mine"))).toBe("unsure");
    expect(await behind.get("busy")).toBeNull();
  });

  where(
    "turns a lost answer into unsure by its own retry, too, and creates where the first attempt was lost",
    async () => {
      const patient = await openS3({ ...server.config, endpoint: proxy.endpoint });
      during(faultFor(({ creates }) => creates, { kind: "lose answer" }));
      expect(await patient.create("again/1", bytesOf("mine"))).toBe("unsure");
      expect(textOf(await patient.get("again/1"))).toBe("mine");
      during(faultFor(({ creates }) => creates, { kind: "slow down" }));
      expect(await patient.create("again/2", bytesOf("mine"))).toBe("created");
      patient.close();
    },
  );

  where(
    "is unsure of a creation that lands after its time-out, and nobody else creates there then",
    async () => {
      const held = Promise.withResolvers<void>();
      const hasty = await openS3({ ...server.config, endpoint: proxy.endpoint }, {
        ...ONCE,
        requestMsMax: 100,
      });
      during(faultFor(({ creates }) => creates, { kind: "hold answer", until: held.promise }));
      expect(await hasty.create("teams/a/slow", bytesOf("first"))).toBe("unsure");
      expect(await store.create("slow", bytesOf("second"))).toBe("unsure");
      held.resolve();
      expect(textOf(await store.get("slow"))).toBe("first");
      hasty.close();
    },
  );

  where("puts again what was busy, refused or lost, and gives up with an error that says so", async () => {
    const patient = await openS3({ ...server.config, endpoint: proxy.endpoint });
    for (const kind of ["slow down", "lose answer", "lose request"] as const) {
      during(faultFor(({ method }) => method === "PUT", { kind }));
      await patient.put(`teams/a/kept/${kind}`, bytesOf(kind));
      expect(textOf(await store.get(`kept/${kind}`))).toBe(kind);
    }
    patient.close();
    during(() => ({ kind: "slow down" }));
    const error = await behind.put("a", bytesOf("x")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ObjectStoreAwayError);
    expect(error).toMatchObject({
      code: "EOBJECTSTORE",
      message: expect.stringMatching(
        /^Cannot write "a" in s3:\/\/dataset\/teams\/a: the server answers 503 SlowDown/,
      ),
    });
  });

  where("refuses in words a server that does not know the condition of a creation", async () => {
    for (const [status, code] of [[501, "NotImplemented"], [400, "InvalidArgument"]] as const) {
      during(faultFor(({ creates }) => creates, { kind: "refuse", status, code }));
      const error = await behind.create("unknown", bytesOf("x")).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ObjectStoreSetupError);
      expect((error as Error).message).toMatch(
        `Cannot create "unknown" in s3://dataset/teams/a: the server answers ${status} ${code} to If-None-Match`,
      );
    }
  });

  where(
    "removes one by one where the server does not take many at once, and without asking for versions where it keeps none",
    async () => {
      const refused = { kind: "refuse", status: 501, code: "NotImplemented" } as const;
      await Promise.all(["a", "b"].map((name) => store.put(`few/${name}`, bytesOf(name))));
      during(({ path }) => /[?&](delete|versioning|uploads)\b/.test(path) ? refused : null);
      await behind.remove(["few/a", "few/b", "few/none"]);
      expect(await keysOf(store, "few/")).toEqual([]);
      await behind.abortUploads("few/");
      expect(
        proxy.faults.filter(({ fault }) => fault === refused).map(({ request }) =>
          request.path.split("?")[1]
        ),
      )
        .toEqual([
          expect.stringMatching(/^versioning/),
          expect.stringMatching(/delete/),
          expect.stringMatching(/uploads/),
        ]);
      during(
        faultFor(({ path }) => path.includes("versioning"), {
          kind: "refuse",
          status: 403,
          code: "AccessDenied",
        }),
      );
      await expect(behind.remove(["few/a"])).rejects.toThrow(/403 AccessDenied .*its versions/);
    },
  );

  where("never gives a short object where a body is cut", async () => {
    await store.put("cut", bytesOf("0123456789"));
    for (const bytes of [0, 1, 9]) {
      during(faultFor(({ method }) => method === "GET", { kind: "cut answer", bytes }));
      await expect(behind.get("cut"), `${bytes}`).rejects.toThrow(ObjectStoreAwayError);
      during(faultFor(({ method }) => method === "GET", { kind: "cut answer", bytes }));
      await expect(blocksOf(behind, "cut"), `${bytes}`).rejects.toThrow(/of 10 bytes came/);
    }
    during(faultFor(({ method }) => method === "GET", { kind: "cut answer", bytes: 2 }));
    await expect(blocksOf(behind, "cut", 5)).rejects.toThrow(ObjectStoreAwayError);
    expect(textOf(await behind.get("cut"))).toBe("0123456789");
  });

  where("lets one creator win where answers are lost and requests overtake each other", async () => {
    let n = 0;
    during(({ creates }) =>
      creates ? [{ kind: "overtaken" } as const, { kind: "lose answer" } as const, null][n++ % 3]! : null
    );
    for (let round = 0; round < 9; round++) {
      const key = `storm/${round}`;
      const said = await Promise.all(["a", "b", "c", "d"].map((name) => behind.create(key, bytesOf(name))));
      const winner = textOf(await store.get(key))!;
      expect("abcd").toContain(winner);
      const created = said.flatMap((one, at) => one === "created" ? "abcd"[at]! : []);
      expect([[], [winner]]).toContainEqual(created);
    }
  });

  where("waits no longer for a body that stands still than it is told", async () => {
    await store.put("still", bytesOf("0123456789"));
    const held = Promise.withResolvers<void>();
    during(
      faultFor(({ method }) => method === "GET", { kind: "stall answer", bytes: 4, until: held.promise }),
    );
    const hasty = await openS3({ ...server.config, endpoint: proxy.endpoint }, {
      ...ONCE,
      bodyIdleMsMax: 100,
    });
    await expect(hasty.get("teams/a/still")).rejects.toThrow(
      /^Cannot read .*: 4 of 10 bytes came \(nothing came for 100 ms\)/,
    );
    held.resolve();
    expect(textOf(await store.get("still"))).toBe("0123456789");
    hasty.close();
  });

  where("has no more requests under way than it is told, and answers them all", async () => {
    const few = await openS3({ ...server.config, endpoint: proxy.endpoint }, { ...ONCE, requestsMax: 2 });
    const held = [1, 2, 3].map(() => Promise.withResolvers<void>());
    let arrived = 0;
    during(() => ({ kind: "hold answer", until: held[Math.floor(arrived++ / 2)]!.promise }));
    const puts = Array.from({ length: 6 }, (_, n) => few.put(`teams/a/few/${n}`, bytesOf("x")));
    for (const [n, { resolve }] of held.entries()) {
      await until("two more have arrived", () => arrived === 2 * n + 2);
      resolve();
    }
    await Promise.all(puts);
    expect(arrived).toBe(6);
    few.close();
  });
});

describe.each(S3_KINDS)("A bucket of %s that keeps versions", (kind) => {
  test("keeps none of what is removed", async (running) => {
    const why = await whyNoS3(kind);
    if (why !== null) return running.skip(why);
    const server = await startS3(kind, { versioned: true });
    const client = new S3Client({
      endpoint: server.config.endpoint!,
      region: "us-east-1",
      forcePathStyle: true,
    });
    const store = await openS3({ ...server.config, prefix: "d" });
    for (const text of ["1", "2", "3"]) await store.put("a", bytesOf(text));
    await store.put("a.longer", bytesOf("stays"));
    await client.send(new PutObjectCommand({ Bucket: "dataset", Key: "d/b", Body: "b" }));
    await store.remove(["a", "b", "none"]);
    const { Versions, DeleteMarkers } = await client.send(
      new ListObjectVersionsCommand({ Bucket: "dataset" }),
    );
    expect(Versions!.map(({ Key }) => Key)).toEqual(["d/a.longer"]);
    expect(DeleteMarkers ?? []).toEqual([]);
    expect(await store.create("a", bytesOf("4"))).toBe("created");
    store.close();
    client.destroy();
    await server.stop();
  });
});

describe("A server that cannot be reached", () => {
  const config = {
    bucket: "dataset",
    prefix: "",
    endpoint: "http://127.0.0.1:1",
    region: "us-east-1",
    forcePathStyle: true,
    objectBytes: 1,
    objectAgeMs: 1,
    compression: "none",
  } as const;

  test("is away: nobody listens, or there is no such name", async () => {
    for (const endpoint of ["http://127.0.0.1:1", "http://no-such-host.invalid"]) {
      const store = await openS3({ ...config, endpoint }, ONCE);
      const error = await store.get("a").catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ObjectStoreAwayError);
      expect((error as Error).message).toMatch(
        /^Cannot read "a" in s3:\/\/dataset: no answer \(E(CONNREFUSED|NOTFOUND|AI_AGAIN)/,
      );
      expect(await store.create("a", bytesOf("x"))).toBe("unsure");
      store.close();
    }
  });
});

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, n) => byte === b[n]);
}
