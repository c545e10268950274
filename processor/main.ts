import type { Environment } from "../runtime/environment.ts";
import { log as say } from "../runtime/log.ts";
import { type RunningService, runService } from "../runtime/service.ts";
import type { Uncaught } from "../runtime/uncaught.ts";
import { consoleWarnings } from "../contract/door.ts";
import { type ProcessorConfig, readProcessorConfig, startWarnings } from "./config.ts";
import { loadLoop, seatsOf } from "./start_loop.ts";

const USAGE = `Usage: deno task processor

Reads the raw topic in two consumer groups: dataset-writer writes training data, discount-offers counts uses and sends
the one discount e-mail. Configured by the environment: DATA_DIR, DATASET_DIR or DATASET_URL, HOST, PROCESSOR_PORT,
KAFKA_BROKERS, PROCESSOR_GROUPS, SMTP_URL, CONSOLE_PASSWORD, ALLOWED_HOSTS and more: see docs/configuration.md.`;

async function run(environment: Environment, uncaught: Uncaught): Promise<RunningService> {
  const config = readProcessorConfig(environment);
  warn(config);
  // Workers load what their loops need while this thread loads the rest; none of them acts before it is told to.
  const loaded = seatsOf(config).map(({ loop }) => loadLoop(loop));
  const { startProcessor } = await import("./service.ts");
  const { url, ended, stop } = await startProcessor(config, { loaded, uncaught: () => uncaught.count });
  return { line: `${url} (${config.log.kind === "embedded" ? "embedded log" : "Kafka"})`, ended, stop };
}

function warn(config: ProcessorConfig): void {
  for (const words of [...startWarnings(config), ...consoleWarnings(config.console, config.host)]) {
    say("warn", words);
  }
}

if (import.meta.main) Deno.exit(await runService({ name: "processor", usage: USAGE }, run));
