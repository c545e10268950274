import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readDockerfile } from "./containers/dockerfile.ts";

/** What is fetched from elsewhere is named by what it is, not by a name that may mean something else tomorrow. */
const ROOT = resolve(import.meta.dirname!, "..");
const FOREIGN = new Set([".git", "node_modules", "_fresh", "data", "coverage"]);

function* filesIn(folder: string): Generator<string> {
  for (const { name, isDirectory, isFile } of Deno.readDirSync(join(ROOT, folder))) {
    if (isDirectory && !FOREIGN.has(name)) yield* filesIn(join(folder, name));
    if (isFile) yield join(folder, name);
  }
}

const files = [...filesIn("")];
const read = (path: string) => Deno.readTextFileSync(join(ROOT, path));
const workflows = files.filter((path) => /^\.github\/workflows\/|(^|\/)action\.ya?ml$/.test(path));
const dockerfiles = files.filter((path) => /(^|\/)Dockerfile(\.\w+)?$/.test(path));
/** compose.yaml, Kubernetes' manifests and the services of workflows all say `image:`. */
const yamls = files.filter((path) => /\.ya?ml$/.test(path));

/** Images that are named by version alone, and why. */
const WITHOUT_DIGEST: Record<string, string> = {
  "docker.redpanda.com/redpandadata/console":
    "no two independent sources name the digest of this version, and no registry could be asked",
};

type Image = { readonly path: string; readonly image: string };

function* imagesIn(value: unknown, path: string): Generator<Image> {
  if (value === null || typeof value !== "object") return;
  for (const [key, entry] of Object.entries(value)) {
    if (key === "image" && typeof entry === "string") yield { path, image: entry };
    else yield* imagesIn(entry, path);
  }
}

function* basesIn(path: string): Generator<Image> {
  const { stages } = readDockerfile(read(path));
  const known = new Set(stages.map(({ name }) => name));
  for (const { from, steps } of stages) {
    if (!known.has(from)) yield { path, image: from };
    for (const step of steps) {
      if (step.kind === "copy" && step.stage !== null && !known.has(step.stage)) {
        yield { path, image: step.stage };
      }
    }
  }
}

const images = [
  ...dockerfiles.flatMap((path) => [...basesIn(path)]),
  ...yamls.flatMap((path) => [...imagesIn(parse(read(path), { merge: true, logLevel: "silent" }), path)]),
].filter(({ image }) => !/^posthog-pipeline\/\w+:/.test(image)); // Ours are built here.

test("every action is named by its commit, with the version beside it", () => {
  const uses = workflows.flatMap((path) =>
    [...read(path).matchAll(/^\s*(?:- )?uses: *(.*)$/gm)].map(([, what]) => ({ path, what: what! }))
  );
  expect(uses.length).toBeGreaterThan(5);
  for (const { path, what } of uses) {
    expect(what, path).toMatch(/^(\.\/\S+|[\w.-]+(\/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/);
  }
  const commits = new Map<string, Set<string>>();
  for (const { what } of uses) {
    const name = what.split("@")[0]!;
    commits.set(name, (commits.get(name) ?? new Set()).add(what));
  }
  for (const [name, all] of commits) expect([...all], `${name} has one version`).toHaveLength(1);
});

test("every image has an exact version and the digest that it stands for, but for those that are named here", () => {
  expect(images.length).toBeGreaterThan(3);
  for (const { path, image } of images) {
    const [, name, version, digest] = /^([^@]+?):([^:@/]+)(?:@sha256:([0-9a-f]{64}))?$/.exec(image) ?? [];
    expect(version, `${path}: ${image}`).toMatch(/^(v?\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+$)/);
    if (digest === undefined) expect(Object.keys(WITHOUT_DIGEST), `${path}: ${image}`).toContain(name);
  }
  const bare = images.filter(({ image }) => !image.includes("@")).map(({ image }) => image.split(":")[0]!);
  expect([...new Set(bare)].sort(), "no longer without a digest").toEqual(Object.keys(WITHOUT_DIGEST).sort());
  const named = new Set(images.map(({ image }) => image));
  const names = new Set(images.map(({ image }) => image.replace(/:[^:/]+(@.*)?$/, "")));
  expect(named.size, "one version of each image").toBe(names.size);
});

test("the lock is frozen, wherever packages are installed", () => {
  expect(JSON.parse(read("deno.json")).lock).toEqual({ path: "deno.lock", frozen: true });
  const sources = ["deno.json", ".ci/run", ...dockerfiles, ...workflows];
  const installs = sources.flatMap((path) =>
    [...read(path).matchAll(/deno install\b[^&\n]*/g)].map(([line]) => ({ path, line }))
  );
  expect(installs.length).toBeGreaterThan(5);
  for (const { path, line } of installs) {
    // web's own lock may not be there yet: serve_web/build.int.test.ts says what follows.
    expect(line, path).toMatch(/ --frozen(?!=)| "\$lock"/);
  }
});

test("no package runs a script when it is installed, and a first start is told nothing of those that would", () => {
  const { npm } = JSON.parse(read("deno.lock")) as { npm: Record<string, { scripts?: true }> };
  const withScripts = Object.entries(npm).filter(([, { scripts }]) => scripts).map(([name]) =>
    `npm:${name.replace(/@\d.*$/, "")}`
  );
  const { allowScripts } = JSON.parse(read("deno.json"));
  expect(allowScripts).toEqual({ allow: [], deny: withScripts.sort() });
});

test("versions in package.json are exact", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  }
});

test("Dependabot takes actions, images and packages further", () => {
  const { updates } = parse(read(".github/dependabot.yml"));
  const watched = updates.map((one: { "package-ecosystem": string }) => one["package-ecosystem"]).sort();
  expect(watched).toEqual(["deno", "docker", "docker-compose", "github-actions", "npm"]);
});
