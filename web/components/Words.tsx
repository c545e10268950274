import { now, zone } from "../browser/now.ts";
import { exactTime, splitAtTimes, timeInWords } from "../core/format.ts";

/** A sentence that somebody else wrote: its ISO times are said as a person would, the exact ones in their titles. */
export function Words({ text }: { text: string }) {
  return (
    <span dir="auto">
      {splitAtTimes(text).map((part, i) =>
        i % 2 === 0 ? part : (
          <time key={i} dateTime={part} title={exactTime(part, zone.value)}>
            {timeInWords(part, { now: now(), zone: zone.value })}
          </time>
        )
      )}
    </span>
  );
}
