/** Routes from files: `routes/offers/[id].tsx` answers `/offers/:id`; `_app`, `_layout`, `_error` and `_middleware` surround. */
import type { AnyPage } from "./context.ts";
import type { Middleware, RouteHandler } from "./handlers.ts";
import type { PathTree, Route } from "./path_tree.ts";

/** A module of `routes/`, by what it exports. */
export type RouteModule<State> = {
  readonly default?: AnyPage<State> | Middleware<State> | Middleware<State>[];
  readonly handler?: RouteHandler<unknown, State> | Middleware<State>[];
};

/** Modules by path below `routes/`, without the ending: `offers/[id]`. */
export type RouteModules<State> = Readonly<Record<string, RouteModule<State>>>;

/** Hangs what surrounds into the tree, and gives back the routes, the more specific ones first. */
export function addFileRoutes<State>(
  tree: PathTree<State>,
  modules: RouteModules<State>,
): { pattern: string; directory: string; route: Route<State> }[] {
  const routes: string[] = [];
  for (const [file, module] of Object.entries(modules)) {
    refuseUnknown(file, module);
    const { directory, name } = split(file);
    if (name.startsWith("_")) surround(tree.at(treePath(directory)), { file, name, module });
    else routes.push(file);
  }
  return routes.sort(bySpecificity).map((file) => ({
    pattern: toPattern(file),
    directory: treePath(split(file).directory),
    route: toRoute(modules[file]!),
  }));
}

function surround<State>(
  node: PathTree<State>,
  { file, name, module }: { file: string; name: string; module: RouteModule<State> },
): void {
  switch (name) {
    case "_app":
      node.app = module.default as AnyPage<State>;
      return;
    case "_layout":
      node.layout = module.default as AnyPage<State>;
      return;
    case "_error":
      node.errorPage = toRoute(module);
      return;
    case "_middleware":
      node.middlewares.push(...[module.handler ?? module.default].flat() as Middleware<State>[]);
      return;
    default:
      throw new Error(
        `Cannot load routes/${file}: fresh-npm knows _app, _layout, _error and _middleware only.`,
      );
  }
}

function refuseUnknown(file: string, module: object): void {
  const unknown = Object.keys(module).find((name) => name !== "default" && name !== "handler");
  if (unknown) {
    throw new Error(`Cannot load routes/${file}: fresh-npm does not know its export "${unknown}".`);
  }
  if (Object.keys(module).length === 0) {
    throw new Error(`Cannot load routes/${file}: it exports nothing to serve.`);
  }
}

function toRoute<State>(module: RouteModule<State>): Route<State> {
  return {
    handler: module.handler as RouteHandler<unknown, State> | undefined,
    component: module.default as AnyPage<State> | undefined,
  };
}

function split(file: string): { directory: string; name: string } {
  const at = file.lastIndexOf("/");
  return { directory: file.slice(0, Math.max(at, 0)), name: file.slice(at + 1) };
}

const isGroup = (step: string) => step.startsWith("(") && step.endsWith(")");

function toStep(step: string): string {
  return step.replace(/^\[\.\.\.(.+)\]$/, ":$1*").replaceAll(/\[([^\]]+)\]/g, ":$1");
}

/** URL pattern of a route's file; `(group)` folders are no part of it. */
export function toPattern(file: string): string {
  const steps = file.split("/").filter((step) => !isGroup(step));
  if (steps.at(-1) === "index") steps.pop();
  return "/" + steps.map(toStep).join("/");
}

/** Where a folder stands in the tree; groups have a place of their own there. */
const treePath = (directory: string) => directory.split("/").map(toStep).join("/");

/** Literal steps before parameters, parameters before what takes the rest. */
function bySpecificity(a: string, b: string): number {
  const [left, right] = [a, b].map((file) => toPattern(file).split("/"));
  for (let i = 0; i < Math.min(left!.length, right!.length); i++) {
    const difference = rank(left![i]!) - rank(right![i]!);
    if (difference !== 0) return difference;
  }
  return right!.length - left!.length || (a < b ? -1 : 1);
}

const rank = (step: string) => step.endsWith("*") ? 2 : step.includes(":") ? 1 : 0;
