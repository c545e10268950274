import { type Rule, World } from "./offers_world.ts";
const seed = Number(Deno.args[0]);
const w = new World({
  seed,
  onUnknown: seed % 2 ? "hold" : "resend-once",
  mailer: seed % 4 < 3 ? "smtp" : "maildir",
  without: Deno.args.slice(1) as Rule[],
});
Math.random = w.random;
await w.run();
console.log(
  w.committed,
  w.raw.map((r) => r.length),
  w.owner,
  w.processors.map((p) => [...p.owned]),
  w.processors.map((p) => p.view.reader.end().nextFact),
);
for (const f of w.facts.slice(-12)) console.log(f.offset, new TextDecoder().decode(f.value));
console.log(w.oracle.db.prepare("select id, state, body from offer").all());
console.log(w.processors.map((p) => (p as any).group?.owned));
