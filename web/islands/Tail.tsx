import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { DatasetTail } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { onWritten } from "../browser/changes.ts";
import { Sanitised } from "../components/Sanitised.tsx";
import { bytes, count, plural } from "../core/format.ts";

/** The end of one file, as `tail -f` shows it; the line that the address names (`#L17`) is marked. */
export default function Tail({ initial, lines }: { initial: DatasetTail; lines: number }) {
  const tail = useSignal(initial);
  const marked = useSignal<number | null>(null);
  const box = useRef<HTMLOListElement>(null);

  useEffect(() => {
    const follow = () => {
      const line = /^#L(\d+)$/.exec(location.hash)?.[1];
      marked.value = line === undefined ? null : Number(line);
    };
    follow();
    addEventListener("hashchange", follow);
    const stop = onWritten(async () => {
      const path = `/api/dataset?file=${encodeURIComponent(initial.file)}&lines=${lines}`;
      tail.value = await getJson<DatasetTail>(path) ?? tail.value;
    }, { file: initial.file });
    return () => {
      removeEventListener("hashchange", follow);
      stop();
    };
  }, []);

  // The end is what is looked at, unless a line is asked for or somebody has scrolled up.
  const atEnd = useRef(true);
  useEffect(() => {
    const list = box.current;
    if (!list) return;
    const wanted = marked.value === null ? null : list.querySelector(`#L${marked.value}`);
    if (wanted) wanted.scrollIntoView({ block: "center" });
    else if (atEnd.current) list.scrollTop = list.scrollHeight;
  }, [tail.value, marked.value]);
  const onScroll = () => {
    const list = box.current!;
    atEnd.current = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  };

  const { file, records, firstLine } = tail.value;
  return (
    <figure class="tail">
      <figcaption>
        <code class="mono" title={file}>{file}</code>
        <span class="quiet">
          {" "}
          {count(records)} {plural(records, "line")}, {bytes(tail.value.bytes)}
          {firstLine > 1 && <>, from line {count(firstLine)}</>}
        </span>
      </figcaption>
      <ol
        ref={box}
        class="lines mono"
        tabIndex={0}
        aria-label={`Last lines of ${file}`}
        onScroll={onScroll}
        start={firstLine}
      >
        {tail.value.lines.map((line, i) => {
          const number = firstLine + i;
          return (
            <li key={number} id={`L${number}`} class={number === marked.value ? "marked" : undefined}>
              <a class="line-number" href={`#L${number}`} aria-label={`Line ${number}`}>{number}</a>
              <span class="line">
                <Sanitised text={line} />
              </span>
            </li>
          );
        })}
      </ol>
    </figure>
  );
}
