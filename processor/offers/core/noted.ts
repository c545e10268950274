import { readLabel } from "../../../contract/envelope.ts";
import { FEATURE_USED, isTold, saysWho } from "../../../contract/product_events.ts";
import type { Noted, TraceStep } from "../../../contract/trace_step.ts";
import type { Fact } from "../../facts/facts.ts";
import type { SourceRecord } from "./product_event.ts";

/**
 * What the offers made of records, for the trace, beside counted uses: what each brought that was not known, of a use that
 * it is not counted, and of an event that says who somebody is also that it brought nothing.
 *
 * @param records Of one partition, in their order.
 * @param facts Those that they and records before them have brought.
 */
export function notedSteps(
  records: readonly SourceRecord[],
  { facts, at }: { readonly facts: readonly Fact[]; readonly at: string },
): readonly TraceStep[] {
  const brought = Map.groupBy(facts, (fact) => "position" in fact ? fact.position.offset : -1);
  return records.flatMap((record): readonly TraceStep[] => {
    const { id, event } = readLabel(record.headers);
    if (id === undefined || event === undefined || !isTold(event)) return [];
    const facts = brought.get(record.offset)?.map(({ fact }) => fact) ?? [];
    const what = new Set(facts.flatMap((fact) => NOTED[fact] ?? []));
    if (event === FEATURE_USED && !facts.includes("counted")) what.add("not_counted");
    return what.size > 0 || saysWho(event) ? [{ step: "noted", id, what: [...what], at }] : [];
  });
}

const NOTED: Readonly<Partial<Record<Fact["fact"], Noted>>> = {
  addressed: "address",
  joined: "join",
  merge_asked: "join",
  opted_out: "opt_out",
  unproven: "unproven",
};
