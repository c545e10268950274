import { describeTopicContract } from "../../topic/contract_suite/suite.ts";
import { MemoryLog } from "./memory_log.ts";

describeTopicContract("the memory log", () => {
  const log = new MemoryLog();
  return Promise.resolve({
    open: () => Promise.resolve(new MemoryLog({}, log)),
    remove: () => log.close(),
  });
});
