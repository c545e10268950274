import { configDefaults, defineConfig, mergeConfig } from "vitest/config";
import everything from "./vitest.config.ts";

/** These alone take longer than all the others: thousands of generated texts, or texts of a megabyte. */
const LONG = ["hostile texts of 1 MB", "no UUID is taken for anything else"];

/** `deno task test:unit`: what needs no process, no socket, no disk, no browser and no broker. */
export default mergeConfig(
  everything,
  defineConfig({
    test: {
      exclude: [
        ...configDefaults.exclude,
        "**/*.int.test.ts",
        "**/*.e2e.test.ts",
        "tests/simulation/**",
      ],
      testNamePattern: new RegExp(`^(?!.*(${LONG.join("|")}))`),
      // Nothing here outlives its file, so that one process may run them all.
      isolate: false,
      setupFiles: ["./tests/support/few_runs.ts"],
      reporters: ["default"],
    },
  }),
);
