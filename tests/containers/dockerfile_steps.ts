import { basename, dirname, join, resolve } from "node:path";
import { type Dockerfile, dockerIgnore, type DockerStage, type DockerStep, stageOf } from "./dockerfile.ts";

/**
 * Runs a Dockerfile's steps as plain commands: each stage's file system is a directory, absolute paths of the image are
 * those below it. What it does not imitate: the base image (this machine's Deno and tools are used), isolation from the
 * rest of this machine, and Deno's download cache, which is this user's, so that nothing is fetched twice; deno.lock
 * vouches for what comes out of it.
 */
export type Build = {
  readonly dockerfile: Dockerfile;
  /** The folder that `docker build` is given. */
  readonly context: string;
  /** Gets a folder per stage. */
  readonly into: string;
  /** Values of ARG. */
  readonly args: Readonly<Record<string, string>>;
};

/** A stage shares another's files instead of copying them: no step changes a file that an earlier one has made. */
const LINKED = ["-a", "-l"];

/** Builds a stage and those that it needs, each once; answers the folder that is its `/`. Throws with a step's words. */
export async function buildStage(name: string, build: Build): Promise<string> {
  const root = join(build.into, name);
  if (await exists(root)) return root;
  const stage = stageOf(build.dockerfile, name);
  const below = build.dockerfile.stages.find((other) => other.name === stage.from);
  const base = below && await buildStage(below.name, build);
  await Deno.mkdir(root);
  if (base) await run("cp", [...LINKED, `${base}/.`, root]);
  for (const step of stage.steps) {
    await Deno.mkdir(join(root, step.workdir), { recursive: true });
    await (step.kind === "copy" ? copy(step, root, build) : runStep(step, root, build));
  }
  return root;
}

/** The image's absolute paths in a piece of a command, as they are below `root`. */
export function below(root: string, text: string): string {
  return text.replaceAll(/(?<=^|[\s=])\/(?=[a-z])/g, `${root}/`);
}

/** What a container of this stage runs. */
export function containerCommand(stage: DockerStage, root: string, command = stage.command): string[] {
  return [...stage.entrypoint, ...command].map((word) => below(root, word));
}

async function copy(step: DockerStep & { kind: "copy" }, root: string, build: Build): Promise<void> {
  const to = resolve(join(root, step.workdir), step.to);
  await Deno.mkdir(to, { recursive: true });
  if (step.stage !== null) {
    const from = await buildStage(step.stage, build);
    for (const path of step.from) await run("cp", [...LINKED, `${join(from, path)}/.`, to]);
    return;
  }
  const ignored = dockerIgnore(await Deno.readTextFile(join(build.context, ".dockerignore")));
  for (const path of step.from) await copyFromContext(path, to, { context: build.context, ignored });
}

/** As Docker: of a folder its contents, a file under its name, and an ignored source is an error. */
async function copyFromContext(
  path: string,
  to: string,
  { context, ignored }: { context: string; ignored: (path: string) => boolean },
): Promise<void> {
  if (ignored(path)) throw new Error(`Cannot copy "${path}": .dockerignore keeps it out.`);
  if ((await Deno.stat(join(context, path))).isFile) {
    return await Deno.copyFile(join(context, path), join(to, basename(path)));
  }
  for await (const entry of Deno.readDir(join(context, path))) {
    const inside = `${path}/${entry.name}`;
    if (ignored(inside)) continue;
    if (entry.isDirectory) await Deno.mkdir(join(to, entry.name), { recursive: true });
    await copyFromContext(inside, entry.isDirectory ? join(to, entry.name) : to, { context, ignored });
  }
}

async function runStep(step: DockerStep & { kind: "run" }, root: string, { args }: Build): Promise<void> {
  if (step.user !== null) {
    throw new Error(`Cannot run "${step.command}" as ${step.user}: steps are root's here.`);
  }
  // Giving files away takes root, which a developer here need not be.
  const command = Deno.uid() === 0 ? step.command : step.command.replace(/ -o \d+ -g \d+/, "");
  const given = Object.keys(step.environment).filter((name) => name in args).map((
    name,
  ) => [name, args[name]!]);
  const env = { ...step.environment, ...Object.fromEntries(given), NO_COLOR: "1" };
  await run("sh", ["-c", below(root, command)], { cwd: join(root, step.workdir), env });
}

async function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<void> {
  const path = `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`;
  const options = { args: [...args], cwd, env: { ...env, PATH: path }, stdin: "null" as const };
  const { success, stdout, stderr } = await new Deno.Command(program, options).output();
  if (success) return;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  throw new Error(`Cannot run "${args.join(" ").slice(0, 200)}": ${text(stderr)}${text(stdout)}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
