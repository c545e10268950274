import { type Rule, World } from "./offers_world.ts";
import { brokenPromises } from "./offers_promises.ts";
const [a, b] = (Deno.args[0] ?? "0-5").split("-").map(Number);
const without = Deno.args.slice(1) as Rule[];
const t = performance.now();
let steps = 0, mails = 0, facts = 0, bad = 0;
const kinds = new Map<string, number[]>();
for (let seed = a; seed < b; seed++) {
  const w = new World({
    seed,
    onUnknown: seed % 2 ? "hold" : "resend-once",
    mailer: seed % 4 < 3 ? "smtp" : "maildir",
    without,
  });
  const real = Math.random;
  Math.random = w.random;
  await w.run();
  Math.random = real;
  const f = brokenPromises(w);
  mails += w.mails.length;
  facts += w.facts.length;
  steps += w.steps;
  if (f.length) {
    bad++;
    const k = f[0]!.slice(0, 60).replace(/\d+/g, "#");
    kinds.set(k, [...kinds.get(k) ?? [], seed]);
  }
  for (const p of w.processors) p.view.db.close();
  w.oracle.db.close();
}
console.log(
  b - a,
  "seeds",
  mails,
  "mails",
  facts,
  "facts",
  steps,
  "steps",
  bad,
  "broken",
  (performance.now() - t) / (b - a),
  "ms per seed",
);
for (const [k, s] of kinds) console.log(s.length, k, s.slice(0, 8).join());
