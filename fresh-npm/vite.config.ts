import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { fresh } from "./vite.ts";

export default defineConfig({
  root: fileURLToPath(new URL("../web", import.meta.url)),
  plugins: [fresh()],
});
