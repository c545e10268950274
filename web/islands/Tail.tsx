import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { DatasetTail } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { onWritten } from "../browser/changes.ts";
import { Sanitised } from "../components/Sanitised.tsx";
import { bytes, count, lineUrl, plural } from "../core/format.ts";

/** `query`: of the list's page. `line`: what was asked for. `isEnd`: the lines at the end, which grows. */
export type TailProps = {
  initial: DatasetTail;
  lines: number;
  query: string;
  line: number | null;
  isEnd: boolean;
};

/**
 * Lines of one file, its end as `tail -f` shows it, with the way to all others; the one that the address names (`#L17`) is
 * marked, and fetched where it is not on this page.
 */
export default function Tail({ initial, lines, query, line, isEnd }: TailProps) {
  const tail = useSignal(initial);
  const marked = useSignal<number | null>(line);
  const box = useRef<HTMLOListElement>(null);

  useEffect(() => {
    const follow = () => {
      const named = /^#L(\d+)$/.exec(location.hash)?.[1];
      marked.value = named === undefined ? line : Number(named);
      const { file, firstLine, records } = tail.value;
      const isHere = marked.value === null || marked.value === line || marked.value > records ||
        (marked.value >= firstLine && marked.value < firstLine + tail.value.lines.length);
      if (!isHere) location.replace(lineUrl({ file, line: marked.value! }));
    };
    follow();
    addEventListener("hashchange", follow);
    const stop = onWritten(async () => {
      const path = `/api/dataset?file=${encodeURIComponent(initial.file)}&lines=${lines}`;
      if (isEnd) tail.value = await getJson<DatasetTail>(path) ?? tail.value;
    }, { file: initial.file });
    return () => {
      removeEventListener("hashchange", follow);
      stop();
    };
  }, []);

  // The end is what is looked at, unless a line is asked for or somebody has scrolled up.
  const atEnd = useRef(isEnd);
  useEffect(() => {
    const list = box.current;
    if (!list) return;
    const wanted = marked.value === null ? null : list.querySelector(`#L${marked.value}`);
    if (wanted) wanted.scrollIntoView({ block: "center" });
    else if (atEnd.current) list.scrollTop = list.scrollHeight;
  }, [tail.value, marked.value]);
  const onScroll = () => {
    const list = box.current!;
    atEnd.current = isEnd && list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  };

  const { file, records, firstLine } = tail.value;
  const last = firstLine + tail.value.lines.length - 1;
  return (
    <figure class="tail">
      <figcaption>
        <code class="mono" title={file}>{file}</code>
        <span class="quiet">
          {" "}
          {count(records)} {plural(records, "line")}, {bytes(tail.value.bytes)}
          {tail.value.lines.length < records && <>, here {count(firstLine)} to {count(last)}</>} ·{" "}
          <a href={`/api/dataset/download?file=${encodeURIComponent(file)}`} download>Download</a>
        </span>
      </figcaption>
      <ol
        ref={box}
        class="lines mono"
        tabIndex={0}
        aria-label={`Lines ${firstLine} to ${last} of ${file}`}
        onScroll={onScroll}
        start={firstLine}
      >
        {tail.value.lines.map((text, i) => {
          const number = firstLine + i;
          return (
            <li key={number} id={`L${number}`} class={number === marked.value ? "marked" : undefined}>
              <a class="line-number" href={`#L${number}`} aria-label={`Line ${number}`}>{number}</a>
              <span class="line" dir="auto">
                <Sanitised text={text} />
              </span>
            </li>
          );
        })}
      </ol>
      <LinePages {...{ file, firstLine, last, records, lines, query, isEnd }} />
    </figure>
  );
}

function LinePages(
  { file, firstLine, last, records, lines, query, isEnd }: {
    file: string;
    firstLine: number;
    last: number;
    records: number;
    lines: number;
    query: string;
    isEnd: boolean;
  },
) {
  if (firstLine <= 1 && last >= records) return null;
  const to = (place: Record<string, string>) =>
    `/dataset${query === "" ? "?" : `${query}&`}${new URLSearchParams({ file, ...place })}#tail`;
  return (
    <nav class="pages" aria-label="Pages of the file">
      {firstLine > 1 && <a href={to({ below: String(firstLine) })} aria-current="false">older lines</a>}
      {last < records && (
        <a href={to({ below: String(last + 1 + lines) })} aria-current="false">newer lines</a>
      )}
      {!isEnd && <a href={to({})} aria-current="false">end of the file</a>}
    </nav>
  );
}
