import { parse } from "yaml";

/**
 * compose.yaml as Docker Compose reads it: anchors and merge keys resolved, variables put in. Only the forms of Compose
 * that this file uses are typed.
 */
export type ComposeFile = {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};

export type ComposeService = {
  readonly image: string;
  readonly build?: {
    readonly context: string;
    readonly target: string;
    readonly args?: Record<string, string>;
  };
  readonly user?: string;
  readonly init?: boolean;
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  /** Started only where one of them is asked for. */
  readonly profiles?: readonly string[];
  readonly restart?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly logging?: { readonly options: Readonly<Record<string, string>> };
};

/** Throws where a variable is asked for in a form that is not understood here. */
export function readComposeFile(text: string, environment: Readonly<Record<string, string>>): ComposeFile {
  return interpolated(parse(text, { merge: true }), environment) as ComposeFile;
}

function interpolated(value: unknown, environment: Readonly<Record<string, string>>): unknown {
  if (typeof value === "string") return interpolate(value, environment);
  if (Array.isArray(value)) return value.map((entry) => interpolated(entry, environment));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, interpolated(entry, environment)]),
  );
}

/**
 * `$$`, `${NAME}` and, with a colon also for an empty value, `${NAME:-otherwise}`, `${NAME:+instead}`. Format: the
 * Compose specification, "Interpolation"; without its nesting, `:?` and bare `$NAME`.
 */
export function interpolate(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /\$(\$|\{([A-Za-z_]\w*)(?:(:?)([-+])([^${}]*))?\}|)/g,
    (match, rest, name, colon, sign, word) => {
      if (rest === "$") return "$";
      if (name === undefined) {
        throw new Error(
          `Cannot read "${match}" in "${text}": not a form that is known here.`,
        );
      }
      const value = environment[name];
      const isSet = value !== undefined && !(colon === ":" && value === "");
      if (sign === "-") return isSet ? value : word;
      if (sign === "+") return isSet ? word : "";
      return value ?? "";
    },
  );
}
