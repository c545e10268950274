import { runSeeds } from "./offers_seeds.ts";
for (const rule of ["none", "by", "uses", "barrier", "current"] as const) {
  const n = rule === "none" ? 1000 : 2500; const t = performance.now();
  const o = await runSeeds({ seeds: Array.from({ length: n }, (_, i) => i), without: rule === "none" ? [] : [rule], untilBroken: rule !== "none" });
  console.log("without", rule, o.seeds, "seeds", o.mails, "mails", Math.round((performance.now() - t) / 1000), "s", JSON.stringify(o.broken.slice(0, 5)));
}
