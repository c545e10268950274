import { escapeLine } from "../../../processor/sanitise/mod.ts";
import { type ExportSink, LinesFile } from "./file.ts";

/** `chat.jsonl`: one conversation of one user message per line, the form that fine-tuning APIs and trainers read. */
export function chatSink(directory: string): ExportSink {
  const file = new LinesFile(directory, "chat.jsonl");
  const encoder = new TextEncoder();
  return {
    add: ({ input_prompt: content }) => file.addLine(encoder.encode(chatRow(content))),
    finish: () => Promise.resolve([file.finish()]),
    close: () => file.close(),
  };
}

function chatRow(content: string): string {
  return escapeLine(JSON.stringify({ messages: [{ role: "user", content }] }));
}
