import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { type ManualClock, manualClock } from "../../tests/support/manual_clock.ts";
import { until as untilIn } from "../../tests/support/until.ts";
import type { Handler } from "./connection.ts";
import { textResponse } from "./response.ts";
import { HTTP_LIMITS, HttpServer } from "./server.ts";

const until = (look: () => boolean) => untilIn("the sockets to be so far", look);

/** Real sockets on a manual clock. */
let clock: ManualClock;
let server: HttpServer;
let said: string[];
let sockets: Socket[];

beforeEach(() => {
  clock = manualClock();
  said = [];
  sockets = [];
});
afterEach(() => {
  for (const socket of sockets) socket.close();
  server.abort();
});

const echo: Handler = async (request) => new Response(`${request.method} ${await request.text()}`);

function serve(handler: Handler = echo, limits: Partial<typeof HTTP_LIMITS> = {}): void {
  server = new HttpServer(handler, {
    hostname: "127.0.0.1",
    port: 0,
    clock,
    limits: { ...HTTP_LIMITS, ...limits },
    report: (text) => void said.push(text),
  });
}

/** A client that writes bytes and keeps what comes back. */
class Socket {
  text = "";
  ended = false;
  #reading: Promise<void> = Promise.resolve();

  constructor(readonly conn: Deno.TcpConn) {
    sockets.push(this);
  }

  reads(): this {
    this.#reading = (async () => {
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const count = await this.conn.read(buffer).catch(() => null);
        if (count === null) break;
        this.text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
      }
      this.ended = true;
    })();
    return this;
  }

  async send(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.conn.write(rest));
  }

  async untilText(text: string): Promise<void> {
    await until(() => this.text.includes(text) || this.ended);
    expect(this.text).toContain(text);
  }

  untilEnd = () => until(() => this.ended);

  close(): void {
    try {
      this.conn.close();
    } catch {
      // Already closed.
    }
  }
}

async function connect(): Promise<Socket> {
  return new Socket(await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port }));
}

async function exchange(text: string): Promise<string> {
  const socket = (await connect()).reads();
  await socket.send(text);
  await socket.untilEnd();
  return socket.text;
}

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const post = (...lines: string[]) => `POST / HTTP/1.1\r\nhost: a\r\n${lines.join("\r\n")}`;

describe("HttpServer", () => {
  it("answers requests of one connection in their order, also when they come at once or byte by byte", async () => {
    serve((request) => new Response(new URL(request.url).pathname));
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const all = await exchange(`${request("/1")}\r\n${request("/2")}${LAST.replace("/ ", "/3 ")}`);
    expect(all.match(/\/\d(?=H|$)/g)).toEqual(["/1", "/2", "/3"]);

    const socket = (await connect()).reads();
    for (const character of request("/slow")) await socket.send(character);
    await socket.untilText("/slow");
  });

  it("reads a body by its length or by its chunks, and tells who waits to go on", async () => {
    serve();
    expect(await exchange(post("content-length: 5", "connection: close", "", "hello"))).toContain(
      "POST hello",
    );
    const chunks = "5;name=x\r\nhello\r\n1\r\n!\r\n0\r\ntrailer: y\r\n\r\n";
    expect(await exchange(post("transfer-encoding: chunked", "connection: close", "", chunks))).toContain(
      "POST hello!",
    );

    const waits = (await connect()).reads();
    await waits.send(post("content-length: 5", "expect: 100-continue", "", ""));
    await waits.untilText("HTTP/1.1 100 Continue\r\n\r\n");
    await waits.send("hello");
    await waits.untilText("POST hello");
  });

  it("a body of a megabyte in many pieces comes whole", async () => {
    serve(async (request) =>
      new Response(String((await request.bytes()).reduce((sum, byte) => sum + byte, 0)))
    );
    const body = "ab".repeat(512 * 1024);
    const answer = await exchange(post(`content-length: ${body.length}`, "connection: close", "", body));
    expect(answer).toContain(`\r\n\r\n${512 * 1024 * (97 + 98)}`);
  });

  test.each([
    ["a chunk longer than it said", "3\r\nhello\r\n0\r\n\r\n"],
    ["a size that is none", "x\r\nhello\r\n0\r\n\r\n"],
    ["a size beyond all bounds", "fffffffff\r\nhello"],
    ["a bare line end", "5\nhello\n0\n\n"],
    ["no end of trailers", `0\r\n${"a: b\r\n".repeat(100)}`],
    ["a bare line end in a trailer", "0\r\na: b\n\nGET / HTTP/1.1\r\n\r\n"],
    ["an endless line of extensions", `5;${"x".repeat(1_000)}`],
  ])("refuses chunks with %s, and ends", async (_, chunks) => {
    serve(async (request) => {
      const failed = await request.bytes().then(() => false, () => true);
      return new Response(failed ? "broken" : "whole");
    });
    const answer = await exchange(post("transfer-encoding: chunked", "", chunks + GET));
    expect(answer.match(/broken|whole/g)).toEqual(["broken"]);
    expect(answer).toContain("connection: close");
  });

  it("answers what it cannot read with a reason that no browser runs, and ends", async () => {
    serve();
    const answer = await exchange(`GET / HTTP/1.1\r\nhost: a b\r\n\r\n${GET}`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain("x-content-type-options: nosniff");
    expect(answer).toContain("content-security-policy: default-src 'none'");
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(said).toEqual([]);
  });

  it("ends at a head of more than 32 KiB, and speaks no HTTP/2", async () => {
    serve();
    expect(await exchange(`GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(40_000)}`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    expect(await exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toMatch(/^HTTP\/1\.1 505 /);
  });

  it("says a known length, streams in chunks, and to HTTP/1.0 until the end", async () => {
    const stream = () => {
      let count = 0;
      return new ReadableStream<Uint8Array>({
        pull: (controller) => {
          if (++count > 3) return controller.close();
          controller.enqueue(new TextEncoder().encode(`piece ${count};`));
        },
      });
    };
    serve((request) => new Response(request.url.endsWith("/stream") ? stream() : "whole"));
    expect(await exchange(LAST)).toMatch(/content-length: 5\r\n\r\nwhole$/);
    expect(await exchange(LAST.replace("/ ", "/stream "))).toMatch(
      /transfer-encoding: chunked[^]*\r\n\r\n8\r\npiece 1;\r\n8\r\npiece 2;\r\n8\r\npiece 3;\r\n0\r\n\r\n$/,
    );
    const old = await exchange("GET /stream HTTP/1.0\r\nhost: a\r\n\r\n");
    expect(old).toMatch(/\r\n\r\npiece 1;piece 2;piece 3;$/);
    expect(old).not.toContain("chunked");
  });

  it("a text leaves as its bytes, whatever it and the head are made of, and no stream is made of it", async () => {
    const answers = [["plain", "1"], ["ünï ✓ 🎉", "1"], ["plain", "caf\xe9"], ["", "ÿ"]] as const;
    let streams = 0;
    serve((request) => {
      const [text, header] = answers[Number(request.url.at(-1))]!;
      const response = textResponse(text, { headers: { "x-header": header } });
      return Object.defineProperty(response, "body", { get: () => (streams++, null) });
    });
    for (const [index, [text, header]] of answers.entries()) {
      const bytes = new TextDecoder("latin1").decode(new TextEncoder().encode(text));
      const answer = await exchange(LAST.replace("/ ", `/${index} `));
      expect(answer).toContain(`\r\nx-header: ${header}\r\n`);
      expect(answer.endsWith(`\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes}`)).toBe(true);
    }
    expect(streams).toBe(0);
  });

  it("an answer that is a text is a Response to whoever looks further, and what is changed in it is sent", async () => {
    const text = () =>
      textResponse('{"a":1}', { status: 202, headers: { "content-type": "application/json" } });
    const real = new Response('{"a":1}', { status: 202, headers: { "content-type": "application/json" } });
    const looked = ({ status, statusText, ok, url, type, redirected, bodyUsed }: Response) => //
    ({ status, statusText, ok, url, type, redirected, bodyUsed });
    expect(text()).toBeInstanceOf(Response);
    expect(looked(text())).toEqual(looked(real));
    expect([await text().json(), await text().clone().text()]).toEqual([{ a: 1 }, '{"a":1}']);

    serve(() => {
      const response = text();
      response.headers.set("connection", "close");
      response.headers.append("x-later", "1");
      return response;
    });
    expect(await exchange(GET)).toMatch(/^HTTP\/1\.1 202 Accepted\r\n[^]*x-later: 1\r\n[^]*\r\n\r\n{"a":1}$/);
  });

  it("to HEAD, 204 and 304 no body", async () => {
    serve((request) =>
      new Response(request.method === "HEAD" ? "body" : null, {
        status: request.method === "HEAD" ? 200 : 204,
      })
    );
    expect(await exchange(LAST.replace("GET", "HEAD"))).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/);
    expect(await exchange(LAST)).toMatch(/^HTTP\/1\.1 204 No Content\r\n(?![^]*content-length)[^]*\r\n\r\n$/);
  });

  it("a handler that throws is a 500, said with its stack, and the connection goes on", async () => {
    serve((request) => {
      if (request.url.endsWith("/broken")) throw new Error("No more ink.");
      return new Response("fine");
    });
    const answer = await exchange(GET.replace("/ ", "/broken ") + LAST);
    expect(answer).toMatch(/^HTTP\/1\.1 500 [^]*HTTP\/1\.1 200 OK[^]*fine$/);
    expect(said[0]).toMatch(/^a request failed: Error: No more ink\. at /);
  });

  it("a stream that fails breaks its answer off, so that nobody takes it for whole", async () => {
    serve(() => {
      let count = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (++count === 3) throw new Error("No more ink.");
            controller.enqueue(new TextEncoder().encode("piece"));
          },
        }),
      );
    });
    expect(await exchange(GET)).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(said[0]).toContain("No more ink.");
  });

  it("a client that leaves ends the stream it was sent", async () => {
    let cancelled = false;
    serve(() =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
          cancel: () => {
            cancelled = true;
          },
        }),
      )
    );
    const socket = (await connect()).reads();
    await socket.send(GET);
    await socket.untilText("first");
    socket.close();
    await until(() => cancelled && server.open === 0);
  });

  it("an answer to a body that nobody read can be read whole while its sender still sends", async () => {
    serve(() => new Response("too much", { status: 413 }));
    const socket = (await connect()).reads();
    await socket.send(post("content-length: 3000000", "", "x".repeat(3_000_000)));
    await socket.untilEnd();
    expect(socket.text).toMatch(/^HTTP\/1\.1 413 [^]*connection: close[^]*too much$/);
  });

  it("shutdown() answers what is under way, and ends who waits", async () => {
    const { promise: go, resolve } = Promise.withResolvers<void>();
    serve(async (request) => {
      if (request.url.endsWith("/slow")) await go;
      return new Response("answered");
    });
    const [idle, silent, busy] = [
      (await connect()).reads(),
      (await connect()).reads(),
      (await connect()).reads(),
    ];
    await idle.send(GET);
    await idle.untilText("answered");
    await busy.send(GET.replace("/ ", "/slow "));
    await until(() => server.accepted === 3);
    const down = server.shutdown();
    await idle.untilEnd();
    // Its request may be on the way.
    await clock.advance(2_000);
    await silent.untilEnd();
    resolve();
    await Promise.all([down, busy.untilEnd()]);
    expect(busy.text).toContain("answered");
    await expect(connect()).rejects.toThrow();
  });
});

it("shutdown() does not wait for another request after an answer that was under way", async () => {
  let finish = () => {};
  serve(() =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("first"));
          finish = () => controller.close();
        },
      }),
    )
  );
  const socket = (await connect()).reads();
  await socket.send(GET);
  await socket.untilText("first");
  const down = server.shutdown();
  finish();
  // The clock stands still: nobody's time is over.
  await Promise.all([down, socket.untilEnd()]);
  expect(socket.text).toMatch(/0\r\n\r\n$/);
});

it("a client is told to go on before the answer, never in the middle of it", async () => {
  serve((request) => {
    const pieces = ["first", "last"].map((text) => new TextEncoder().encode(text));
    const body = request.body!.getReader();
    return new Response(
      new ReadableStream({
        async pull(controller) {
          if (pieces.length === 1) await Promise.race([body.read(), until(() => pieces.length === 1)]);
          const piece = pieces.shift();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
      }, { highWaterMark: 0 }),
    );
  });
  const socket = (await connect()).reads();
  await socket.send(post("content-length: 5", "expect: 100-continue", "", ""));
  await socket.untilText("last");
  expect(socket.text).not.toContain("100 Continue");
});

describe("a client that takes its time", () => {
  const { head, idle, body, write, linger } = HTTP_LIMITS.msMax;
  const sweep = HTTP_LIMITS.sweepMs;

  it("without a byte is cut off, and with half a head told so", async () => {
    serve();
    const [silent, half] = [(await connect()).reads(), (await connect()).reads()];
    await half.send("GET / HTTP/1.1\r\nhost:");
    await until(() => server.accepted === 2);
    // Bytes do not prolong it: a head has one time for all of it.
    await clock.advance(head - sweep);
    await half.send(" a");
    expect([silent.ended, half.ended]).toEqual([false, false]);
    await clock.advance(2 * sweep);
    await Promise.all([silent.untilEnd(), half.untilEnd()]);
    expect([silent.text, half.text]).toEqual(["", expect.stringMatching(/^HTTP\/1\.1 408 /)]);
    expect(server.expired).toBe(2);
  });

  it("between two requests may take longer", async () => {
    serve();
    const socket = (await connect()).reads();
    await socket.send(GET);
    await socket.untilText("GET ");
    await clock.advance(idle - sweep);
    expect(socket.ended).toBe(false);
    await clock.advance(2 * sweep);
    await socket.untilEnd();
  });

  it("over its body, without a byte, fails it", async () => {
    const { promise: failed, resolve } = Promise.withResolvers<Error>();
    serve(async (request) => {
      await request.bytes().catch(resolve);
      return new Response();
    });
    const socket = (await connect()).reads();
    await socket.send(post("content-length: 100", "", "x"));
    await until(() => server.accepted === 1);
    await clock.advance(body - sweep);
    await socket.send("y");
    await clock.advance(body - sweep);
    expect(socket.ended).toBe(false);
    await clock.advance(3 * sweep);
    await socket.untilEnd();
    expect((await failed).name).toBe("BrokenBodyError");
  });

  it("over the rest of a body that was answered already is not waited for longer than for any answer", async () => {
    // A byte after the answer put the connection back to "at work", which has no deadline and makes room for nobody.
    serve((request) => {
      request.bytes().catch(() => {});
      return new Response("too slow", { status: 408 });
    });
    const socket = (await connect()).reads();
    await socket.send(post("content-length: 100", "", "x"));
    await socket.untilText("too slow");
    for (let ms = 0; ms <= linger + 2 * sweep && server.open > 0; ms += sweep) {
      await socket.send("y").catch(() => {});
      await clock.advance(sweep);
    }
    await until(() => server.open === 0);
  });

  it("over an answer that it does not read ends itself alone", async () => {
    let cancelled = 0;
    serve(() =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)),
          cancel: () => void cancelled++,
        }),
      )
    );
    const stuck = await connect();
    await stuck.send(GET);
    await until(() => server.accepted === 1);
    // Once the sockets between them are full nothing moves on any more.
    for (let i = 0; i < 200 && cancelled === 0; i++) await clock.advance(write / 50);
    await until(() => cancelled === 1 && server.open === 0);
    expect(said).toEqual([]);
  });
});

describe("more connections than there is room for", () => {
  it("cost whoever has waited longest of those who wait; nobody at work", async () => {
    const { promise: go, resolve } = Promise.withResolvers<void>();
    serve(async () => {
      await go;
      return new Response("answered");
    }, { connectionsMax: 10 });
    const busy = (await connect()).reads();
    await busy.send(GET);
    const idle: Socket[] = [];
    for (let i = 0; i < 9; i++) idle.push((await connect()).reads());
    await until(() => server.accepted === 10);
    const last = (await connect()).reads();
    await last.send(LAST);
    await idle[0]!.untilEnd();
    resolve();
    await Promise.all([busy.untilText("answered"), last.untilText("answered")]);
    expect(idle.slice(1).some(({ ended }) => ended)).toBe(false);
    expect(server.shed).toBe(1);
  });

  it("who takes nothing of an answer makes room as well", async () => {
    const large = new Uint8Array(16 * 1024 * 1024);
    serve((request) => new Response(request.url.endsWith("/large") ? large : "small"), { connectionsMax: 5 });
    for (let i = 0; i < 5; i++) {
      const stuck = await connect();
      await stuck.send(GET.replace("/ ", "/large "));
      // Its answer has begun, and no more of it is taken.
      await stuck.conn.read(new Uint8Array(1));
    }
    let answer = "";
    for (let i = 0; i < 20 && answer === ""; i++) {
      await clock.advance(HTTP_LIMITS.sweepMs);
      answer = await exchange(LAST).catch(() => "");
    }
    expect(answer).toContain("small");
  });

  it("a thousand half heads do not keep anybody out", async () => {
    serve(echo, { connectionsMax: 50 });
    for (let i = 0; i < 300; i++) await (await connect()).send("GET / HTTP/1.1\r\nhost: a\r\nx: ");
    await until(() => server.accepted === 300);
    for (let i = 0; i < 20; i++) expect(await exchange(LAST)).toContain("HTTP/1.1 200 OK");
    expect(server.open).toBeLessThanOrEqual(50);
  });
});
