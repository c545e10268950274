import { resolve } from "node:path";
import { parseAllDocuments } from "yaml";

/** What `kubectl apply -k` would send of a folder, as far as these tests look at it. */
export type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  // deno-lint-ignore no-explicit-any -- A schema validator says whether it is right; the tests look at single fields.
  readonly spec: any;
  readonly data?: Readonly<Record<string, string>>;
};

export type Container = {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: {
      readonly secretKeyRef?: { readonly name: string; readonly key: string; readonly optional?: boolean };
      readonly fieldRef?: { readonly fieldPath: string };
    };
  }[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly resources: { readonly requests: unknown; readonly limits: unknown };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle?: { readonly preStop: Probe };
};

export type Probe = {
  readonly httpGet?: {
    readonly path: string;
    readonly port: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly tcpSocket?: { readonly port: string };
  readonly exec?: { readonly command: readonly string[] };
};

/** By Go's module proxy, whose checksum database vouches for the version; kept in node_modules/.cache. */
const MODULE = "sigs.k8s.io/kustomize/kustomize/v5";
const VERSION = "5.8.2";
const CACHE = resolve(import.meta.dirname!, `../../node_modules/.cache/kustomize-${VERSION}`);
const MAKING_MS_MAX = 300_000;

/** A program that builds a folder, and its arguments before it; or why there is none here. */
export type Kustomize = { readonly command: readonly string[] } | { readonly absence: string };

/** Kustomize itself where Go can make it, else kubectl's. */
export async function findKustomize(): Promise<Kustomize> {
  const own = [`${CACHE}/kustomize`, "build"];
  if ((await run([own[0]!, "version"])).success) return { command: own };
  const made = await run(["go", "install", `${MODULE}@v${VERSION}`], { GOBIN: CACHE });
  if (made.success) return { command: own };
  if ((await run(["kubectl", "kustomize", "--help"])).success) return { command: ["kubectl", "kustomize"] };
  return { absence: `there is no kubectl, and Go cannot make kustomize: ${made.said.split("\n").at(-1)}` };
}

/** The text that Kustomize makes of a folder. */
export async function build(
  { command }: { readonly command: readonly string[] },
  folder: string,
): Promise<string> {
  const { success, output, said } = await run([...command, folder]);
  if (!success) throw new Error(`Kustomize failed: ${said}`);
  return output;
}

export function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** What a container sees beside its image's own: `values` stands for the Secret and for what only a cluster knows. */
export function environmentOf(
  { env, envFrom = [] }: Container,
  { manifests, secret, fields }: {
    readonly manifests: readonly Manifest[];
    readonly secret: Readonly<Record<string, string>>;
    readonly fields: Readonly<Record<string, string>>;
  },
): Record<string, string> {
  const seen: Record<string, string> = {};
  for (const { configMapRef } of envFrom) {
    const map = manifests.find(({ kind, metadata }) =>
      kind === "ConfigMap" && metadata.name === configMapRef.name
    );
    if (map === undefined) throw new Error(`There is no ConfigMap "${configMapRef.name}".`);
    Object.assign(seen, map.data);
  }
  for (const { name, value, valueFrom } of env) {
    const { secretKeyRef, fieldRef } = valueFrom ?? {};
    const given = value ?? (secretKeyRef ? secret[secretKeyRef.key] : fields[fieldRef!.fieldPath]);
    if (given === undefined && !secretKeyRef?.optional) throw new Error(`${name} has no value.`);
    // As the kubelet does it: only of what stands above; `$$` is not used here.
    if (given !== undefined) seen[name] = given.replace(/\$\((\w+)\)/g, (text, other) => seen[other] ?? text);
  }
  return seen;
}

async function run(command: readonly string[], env: Record<string, string> = {}) {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command[0]!, {
      args: command.slice(1),
      env,
      signal: AbortSignal.timeout(MAKING_MS_MAX),
    }).output();
    const [output, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    return { success, output: output!, said: said! };
  } catch (error) {
    return { success: false, output: "", said: (error as Error).message };
  }
}
