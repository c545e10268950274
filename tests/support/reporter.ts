import type { Reporter, TestCase, TestModule } from "vitest/node";

/** Prints by name what could not run here and why, and closes with one plain line that counts in any language. */
export default class PlainReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    const skipped: string[] = [];
    for (const module of modules) {
      if (module.errors().length > 0) count.failed++;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === "passed") count.passed++;
        else if (state === "failed") count.failed++;
        else {
          count.skipped++;
          skipped.push(`  ${module.relativeModuleId} > ${test.fullName}${reasonOf(test)}`);
        }
      }
    }
    if (skipped.length > 0) console.log(`\nNot run on this machine:\n${skipped.join("\n")}`);
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  }
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return result.state === "skipped" && result.note ? ` (${result.note})` : "";
}
