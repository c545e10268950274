import { writerOf } from "../contract/names.ts";
import type { LogConfig, LogRole } from "./log_config.ts";
import { openSqliteLog } from "./sqlite/log.ts";
import type { TopicLog } from "./topic.ts";

/**
 * Opens the log that the configuration names. `role` says who opens it.
 *
 * kafkajs is loaded only where it is used: the embedded default starts without it. Rejects with `LogSetupError`
 * where the log cannot be used on this machine at all.
 */
export async function openTopicLog(config: LogConfig, role: LogRole): Promise<TopicLog> {
  switch (config.kind) {
    case "embedded":
      return openSqliteLog({ dataDir: config.dataDir, role, writerOf });
    case "kafka":
      return await (await import("./kafka/log.ts")).openKafkaLog(config, role);
  }
}
