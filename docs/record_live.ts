/**
 * Records the README's pictures from the real demo: `deno run -A docs/record_live.ts` writes docs/live.gif, and its last
 * frame as docs/live.png for who wants no motion. It starts a demo of its own on free ports in a temporary DATA_DIR, acts
 * in Chromium as a person does, and removes all of it. Time is as it was, but nothing stands still for longer than
 * HELD_MS_MAX, and where a slow machine takes longer than SHOWN_MS_MAX all of it is shown faster.
 */
import { resolve } from "node:path";
import gifenc from "gifenc";
import type { Page } from "playwright-core";
import { startBrowser } from "../tests/support/browser.ts";
import { PROMPT, SANITISED_PROMPT } from "../tests/support/page_journey.ts";
import { spawnProgram, type TextStream } from "../tests/support/run_command.ts";
import { until } from "../tests/support/until.ts";

const { applyPalette, GIFEncoder, quantize } = gifenc;

/** In pixels of the page, and how much smaller the picture is: 960 pixels wide. */
const VIEWPORT = { width: 1200, height: 760 };
const SCALE = 0.8;
/** Few enough for a small file, enough for letters with smooth edges; one more says "as before". */
const COLOURS = 63;
const FRAME_MS = 120;
const HELD_MS_MAX = 2_500;
const SHOWN_MS_MAX = 12_000;
const BYTES_MAX = 1_000_000;
const GLIDE_STEPS = 4;
const PATIENCE_MS = 120_000;

type Point = { readonly x: number; readonly y: number };
type Frame = { readonly png: Uint8Array; readonly at: number; readonly pointer: Point };

await using held = new AsyncDisposableStack();
const url = await startDemo();
const browser = await startBrowser();
held.defer(() => browser.close());
const context = await browser.newContext({
  viewport: VIEWPORT,
  deviceScaleFactor: SCALE,
  colorScheme: "light",
  locale: "en-GB",
  timezoneId: "UTC",
});
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE_MS);
await page.goto(url);
await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
await proofAgrees();

let pointer: Point = { x: 780, y: 560 };
const frames = await filmed(act);
const gif = await encoded(frames);
if (gif.length > BYTES_MAX) throw new Error(`Cannot keep docs/live.gif: it has ${gif.length} bytes.`);
Deno.writeFileSync(resolve(import.meta.dirname!, "live.gif"), gif);
Deno.writeFileSync(resolve(import.meta.dirname!, "live.png"), frames.at(-1)!.png);
console.log(`${frames.length} frames, ${gif.length} bytes`);

/** What is shown: an event's way, then one while the processor is dead, and the counts that agree again. */
async function act(): Promise<void> {
  await rest(1_200);
  await page.getByRole("heading", { name: "Break something" }).evaluate((heading) =>
    heading.closest("section")!.scrollIntoView()
  );
  await rest(600);
  await filled("E-mail", "ada@example.org");
  await page.keyboard.press("Enter");
  await filled("Prompt", PROMPT);
  await clicked("Simulate Generation Failure");
  await page.getByText(SANITISED_PROMPT).first().waitFor();
  await rest(1_500);
  await clicked("Kill the processor");
  for (let i = 0; i < 4; i++) {
    await clicked("Simulate Generation Failure");
    await rest(250);
  }
  await page.locator("[data-proof]", { hasText: /while the processor was dead/ }).waitFor();
  await proofAgrees();
  await rest(HELD_MS_MAX);
}

async function startDemo(): Promise<string> {
  const dataDir = await Deno.makeTempDir({ prefix: "record-" });
  held.defer(() => Deno.remove(dataDir, { recursive: true }));
  const ports = ["INGEST_PORT", "PROCESSOR_PORT", "WEB_PORT", "POSTHOG_STAND_IN_PORT"];
  const env = { DATA_DIR: dataDir, DISCOUNT_WAIT: "500ms", FRESH: "npm", LOG_LEVEL: "info" };
  const demo = spawnProgram("demo/main.ts", {
    env: { ...env, ...Object.fromEntries(ports.map((port) => [port, "0"])) },
  });
  held.defer(async () => {
    demo.kill("SIGINT");
    await demo.status;
  });
  let said = "";
  for (const stream of [demo.stdout, demo.stderr]) {
    void stream.pipeThrough(new TextDecoderStream() as TextStream).pipeTo(
      new WritableStream({ write: (text) => void (said += text) }),
    );
  }
  const found = await until("the demo is ready", () => /Ready in .*?(http:\S+)/.exec(said)?.[1], {
    limitMs: PATIENCE_MS,
  }).catch((error) => {
    throw new Error(said, { cause: error });
  });
  return found;
}

async function proofAgrees(): Promise<void> {
  await page.locator('[data-proof="agrees"]', { hasText: /0 lost, 0 doubled/ }).waitFor();
}

async function clicked(name: string): Promise<void> {
  const button = page.getByRole("button", { name, exact: true });
  await glide(await button.boundingBox());
  await button.click();
}

async function filled(label: string, text: string): Promise<void> {
  const field = page.getByLabel(label);
  await glide(await field.boundingBox());
  await field.fill(text);
}

async function glide(box: { x: number; y: number; width: number; height: number } | null): Promise<void> {
  if (box === null) throw new Error("Cannot show a click: its place is not on the page.");
  const [from, to] = [pointer, { x: box.x + box.width * 0.6, y: box.y + box.height * 0.6 }];
  for (let step = 1; step <= GLIDE_STEPS; step++) {
    const share = step / GLIDE_STEPS;
    pointer = { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
    await page.mouse.move(pointer.x, pointer.y);
    await rest(FRAME_MS);
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A picture after the other, for as long as `what` takes, and one of its end. */
async function filmed(what: () => Promise<void>): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  const take = async () => {
    const [at, where] = [performance.now(), pointer];
    frames.push({
      png: await page.screenshot({ animations: "allow", caret: "initial" }),
      at,
      pointer: where,
    });
  };
  let running = true;
  const acting = what().finally(() => running = false);
  while (running) {
    const start = performance.now();
    await take();
    await rest(Math.max(0, FRAME_MS - (performance.now() - start)));
  }
  await acting;
  await take();
  return frames;
}

/** One palette for all frames; what stays as it was is transparent, which is what makes the file small. */
async function encoded(frames: readonly Frame[]): Promise<Uint8Array> {
  // Draws pictures, since a browser is at hand and decodes PNG.
  const canvas = await browser.newPage();
  const some = frames.filter((_, n) => n % Math.ceil(frames.length / 6) === 0 || n === frames.length - 1);
  const palette = quantize(joined(await Promise.all(some.map((frame) => pixels(canvas, frame)))), COLOURS);
  const same = palette.length;
  const pictures: { readonly index: Uint8Array; readonly at: number }[] = [];
  let before: Uint8Array | null = null;
  for (const frame of frames) {
    const index: Uint8Array = applyPalette(await pixels(canvas, frame), palette);
    const changed = before === null ? index : index.map((colour, n) => colour === before![n] ? same : colour);
    if (changed.some((colour) => colour !== same)) pictures.push({ index: changed, at: frame.at });
    before = index;
  }
  const held = pictures.map(({ at }, n) => Math.min((pictures[n + 1]?.at ?? Infinity) - at, HELD_MS_MAX));
  const faster = Math.min(1, SHOWN_MS_MAX / held.slice(0, -1).reduce((sum, ms) => sum + ms, 0));
  const gif = GIFEncoder();
  for (const [n, { index }] of pictures.entries()) {
    gif.writeFrame(index, VIEWPORT.width * SCALE, VIEWPORT.height * SCALE, {
      // The first frame's is everybody's; its last colour is never seen.
      palette: n === 0 ? [...palette, [0, 0, 0]] : undefined,
      delay: n === pictures.length - 1 ? HELD_MS_MAX : held[n]! * faster,
      transparent: n > 0,
      transparentIndex: same,
      dispose: 1,
    });
  }
  gif.finish();
  return gif.bytes();
}

/** A frame's pixels as RGBA, with the pointer, which no screenshot has. */
async function pixels(canvas: Page, { png, pointer }: Frame): Promise<Uint8Array> {
  const text = await canvas.evaluate(async ({ png, x, y }) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d")!;
    context.drawImage(bitmap, 0, 0);
    context.translate(x, y);
    const arrow = new Path2D("M0 0V17L4 13L7 19.5L9.5 18.5L6.7 12H12Z");
    context.fillStyle = "#1c1e22";
    context.fill(arrow);
    context.strokeStyle = "#ffffff";
    context.stroke(arrow);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let binary = "";
    for (let at = 0; at < data.length; at += 32_768) {
      binary += String.fromCharCode(...data.subarray(at, at + 32_768));
    }
    return btoa(binary);
  }, { png: png.toBase64(), x: pointer.x * SCALE, y: pointer.y * SCALE });
  return Uint8Array.fromBase64(text);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
