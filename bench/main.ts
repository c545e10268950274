/** `deno task bench [NAME] [ARG…]`: runs one benchmark; without a name it lists them. Each file answers one question. */
const HERE = new URL(".", import.meta.url).pathname;

const names = [...Deno.readDirSync(HERE)]
  .map(({ name }) => name)
  .filter((name) => name.endsWith(".ts") && name !== "main.ts" && !name.startsWith("."))
  .map((name) => name.slice(0, -3))
  .sort();
const [name, ...args] = Deno.args;

if (name === undefined || name === "--help" || !names.includes(name)) {
  const known = `Usage: deno task bench NAME [ARG…]   (deno task bench NAME --help says more)\n\n  ${
    names.join("\n  ")
  }`;
  if (name === undefined || name === "--help") console.log(known);
  else console.error(`Cannot run benchmark "${name}": there is none of that name.\n${known}`);
  Deno.exit(name === undefined || name === "--help" ? 0 : 2);
}

const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", `${HERE}${name}.ts`, ...args],
}).spawn()
  .status;
Deno.exit(code);
