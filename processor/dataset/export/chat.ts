import { escapeLine } from "../../sanitise/mod.ts";
import { type ExportOutput, type ExportSink, LinesFile } from "./file.ts";

/** What `chat-jsonl` may be told. */
export type ChatOptions = {
  /** Every conversation begins with this system message; default: none. */
  readonly system?: string | undefined;
  /** Leave out lines whose text holds a control token of a chat template; default: they stay. */
  readonly dropControlTokens?: boolean | undefined;
};

/** What is said about a finished `chat.jsonl`. */
export type ChatReport = {
  /** Tokens of all messages: a quarter of their UTF-8 bytes, each message rounded up. A rule of thumb, no tokeniser's count. */
  readonly tokensEstimate: number;
  /** How often each control token stood in the texts, in those left out too. */
  readonly controlTokens: Readonly<Record<string, number>>;
  /** Lines whose text held one. */
  readonly linesWithControlTokens: number;
  /** Those of them that were left out. */
  readonly linesDropped: number;
};

/** `chat.jsonl`: one conversation of one user message per line, the form that fine-tuning APIs and trainers read. */
export function chatSink(
  output: ExportOutput,
  { system, dropControlTokens = false }: ChatOptions = {},
): ExportSink {
  const file = new LinesFile(output, "chat.jsonl");
  const encoder = new TextEncoder();
  const first = system === undefined ? [] : [{ role: "system", content: system }];
  const systemTokens = system === undefined ? 0 : tokensOf(encoder.encode(system).length);
  const counts = new Map<string, number>();
  const report = { tokensEstimate: 0, linesWithControlTokens: 0, linesDropped: 0 };
  return {
    add: ({ input_prompt: content }) => {
      const tokens = controlTokensIn(content);
      for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
      if (tokens.length > 0) report.linesWithControlTokens++;
      if (tokens.length > 0 && dropControlTokens) {
        report.linesDropped++;
        return;
      }
      const messages = [...first, { role: "user", content }];
      file.addLine(encoder.encode(escapeLine(JSON.stringify({ messages }))));
      report.tokensEstimate += systemTokens + tokensOf(encoder.encode(content).length);
    },
    finish: () => Promise.resolve([file.finish()]),
    report: () => ({
      ...report,
      controlTokens: Object.fromEntries([...counts].sort(([, a], [, b]) => b - a)),
    }),
    close: () => file.close(),
  };
}

const BYTES_PER_TOKEN = 4;

function tokensOf(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

/**
 * By these models are told where a message ends and who speaks: a prompt that holds one speaks as somebody else to a trainer
 * which does not escape it. Of ChatML and GPT, Llama 2 and 3, Mistral, Gemma, Phi, Qwen, GLM, Cohere, DeepSeek, BERT and T5.
 */
const CONTROL_TOKENS = [
  "[INST]",
  "[/INST]",
  "<<SYS>>",
  "<</SYS>>",
  "[SYSTEM_PROMPT]",
  "[/SYSTEM_PROMPT]",
  "[AVAILABLE_TOOLS]",
  "[/AVAILABLE_TOOLS]",
  "[TOOL_CALLS]",
  "[TOOL_RESULTS]",
  "[/TOOL_RESULTS]",
  "<s>",
  "</s>",
  "<bos>",
  "<eos>",
  "<pad>",
  "<unk>",
  "<mask>",
  "<start_of_turn>",
  "<end_of_turn>",
  "<start_of_image>",
  "<tool_call>",
  "</tool_call>",
  "<tool_response>",
  "</tool_response>",
  "[gMASK]",
  "<sop>",
  "<eop>",
  "[CLS]",
  "[SEP]",
  "[MASK]",
];
/** Those of the form `<|im_start|>` that are named one by one; any other of that form counts as {@link OTHER}. */
const NAMED = [
  "im_start",
  "im_end",
  "im_sep",
  "endoftext",
  "startoftext",
  "endofprompt",
  "begin_of_text",
  "end_of_text",
  "start_header_id",
  "end_header_id",
  "eot_id",
  "eom_id",
  "python_tag",
  "system",
  "user",
  "assistant",
  "observation",
  "tool",
  "end",
  "start",
  "message",
  "channel",
  "return",
  "call",
  "fim_prefix",
  "fim_middle",
  "fim_suffix",
  "START_OF_TURN_TOKEN",
  "END_OF_TURN_TOKEN",
  "USER_TOKEN",
  "CHATBOT_TOKEN",
  "SYSTEM_TOKEN",
].map((name) => `<|${name}|>`);
/** Anybody may write `<|anything|>`: the report does not grow with their names. DeepSeek's have full-width bars. */
const OTHER = "<|…|>";
const CONTROL_TOKEN = new RegExp(
  `${CONTROL_TOKENS.map((token) => token.replace(/[[\]/]/g, "\\$&")).join("|")}|<[|｜][\\w▁/-]{1,64}[|｜]>`,
  "g",
);
const KNOWN = new Set([...CONTROL_TOKENS, ...NAMED]);

function controlTokensIn(text: string): string[] {
  return Array.from(text.matchAll(CONTROL_TOKEN), ([token]) => KNOWN.has(token) ? token : OTHER);
}
