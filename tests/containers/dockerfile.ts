/**
 * Reads a Dockerfile of the plain sort: the instructions listed in {@link readDockerfile}, a step per line, continued by
 * a backslash. Anything else is refused, so that nothing in the file goes unseen. Format: Docker's Dockerfile reference.
 */
export type Dockerfile = { readonly stages: readonly DockerStage[] };

export type DockerStage = {
  readonly name: string;
  /** Another stage's name, or an image with its version. */
  readonly from: string;
  readonly steps: readonly DockerStep[];
  /** Absolute path in the image at the end of the stage. */
  readonly workdir: string;
  /** `uid:gid`; null is root. */
  readonly user: string | null;
  /** ENV, with that of the stages below. */
  readonly environment: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
};

export type DockerStep =
  & { readonly workdir: string; readonly user: string | null }
  & (
    | {
      readonly kind: "copy";
      readonly stage: string | null;
      readonly from: readonly string[];
      readonly to: string;
    }
    /** `environment` holds ENV and the defaults of ARG. */
    | {
      readonly kind: "run";
      readonly command: string;
      readonly environment: Readonly<Record<string, string>>;
    }
  );

type Draft = { -readonly [Key in keyof DockerStage]: DockerStage[Key] } & { args: Record<string, string> };

export function readDockerfile(text: string): Dockerfile {
  const lines = text.split("\n").filter((line) => !line.startsWith("#")).join("\n").replaceAll("\\\n", "")
    .split("\n").filter((line) => line.trim() !== "");
  const stages: Draft[] = [];
  for (const line of lines) {
    const [, instruction, rest] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    if (instruction === "FROM") stages.push(newStage(rest!, stages));
    else if (stages.length === 0) throw new Error(`Cannot read "${line}": no stage has begun.`);
    else apply(stages.at(-1)!, instruction, rest ?? "");
  }
  return { stages };
}

/** Throws where the file has no such stage. */
export function stageOf({ stages }: Dockerfile, name: string): DockerStage {
  const stage = stages.find((stage) => stage.name === name);
  if (!stage) throw new Error(`Cannot find stage "${name}" in the Dockerfile.`);
  return stage;
}

function newStage(text: string, stages: readonly Draft[]): Draft {
  const [, from, name] = /^(\S+) AS (\S+)$/.exec(text) ?? [];
  if (!from || !name) throw new Error(`Cannot read "FROM ${text}": expected FROM image AS name.`);
  const below = stages.find((stage) => stage.name === from);
  const { workdir = "/", user = null, environment = {}, entrypoint = [], command = [] } = below ?? {};
  return { name, from, workdir, user, environment, entrypoint, command, steps: [], args: {} };
}

function apply(stage: Draft, instruction: string | undefined, rest: string): void {
  const { workdir, user } = stage;
  switch (instruction) {
    case "WORKDIR":
      stage.workdir = rest;
      return;
    case "USER":
      stage.user = rest;
      return;
    case "ENV":
      stage.environment = { ...stage.environment, ...pairs(rest) };
      return;
    case "ARG":
      stage.args = { ...stage.args, ...pairs(rest) };
      return;
    case "COPY":
      stage.steps = [...stage.steps, { kind: "copy", ...copied(rest), workdir, user }];
      return;
    case "RUN": {
      const environment = { ...stage.environment, ...stage.args };
      stage.steps = [...stage.steps, { kind: "run", command: rest, environment, workdir, user }];
      return;
    }
    case "ENTRYPOINT":
      stage.entrypoint = JSON.parse(rest);
      stage.command = []; // As Docker does: an image's own command does not outlive a new entry point.
      return;
    case "CMD":
      stage.command = JSON.parse(rest);
      return;
    case "EXPOSE":
    case "VOLUME":
      return;
    default:
      throw new Error(`Cannot read "${instruction} ${rest}": not an instruction that is known here.`);
  }
}

function pairs(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(/ +/).map((pair) => {
      const [, name, value] = /^(\w+)=([^"'\\]*)$/.exec(pair) ?? [];
      if (name === undefined) throw new Error(`Cannot read "${pair}": expected NAME=value.`);
      return [name, value!];
    }),
  );
}

function copied(text: string): { stage: string | null; from: string[]; to: string } {
  const words = text.split(/ +/);
  const stage = words[0]?.startsWith("--from=") ? words.shift()!.slice("--from=".length) : null;
  if (words.length < 2 || words.some((word) => word.startsWith("--") || /[*?$]/.test(word))) {
    throw new Error(`Cannot read "COPY ${text}": expected sources and a destination.`);
  }
  return { stage, from: words.slice(0, -1), to: words.at(-1)! };
}

/** Whether a .dockerignore of names and `**` keeps a path, relative to the context, out of it. */
export function dockerIgnore(text: string): (path: string) => boolean {
  const patterns = text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    if (/[!?[\\]/.test(line)) {
      throw new Error(`Cannot read "${line}" of .dockerignore: not a form that is known here.`);
    }
    const source = line.replaceAll(".", "\\.").replaceAll("**/", "\0").replaceAll("*", "[^/]*");
    return new RegExp(`^${source.replaceAll("\0", "(?:.*/)?")}(?:/|$)`);
  });
  return (path) => patterns.some((pattern) => pattern.test(path));
}
