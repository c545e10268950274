import { join } from "node:path";
import { tryLockFile } from "../../runtime/data_dir.ts";
import { makePrivateDirectory, PRIVATE, readIfThere, removeIfThere } from "../../runtime/durable_file.ts";

/**
 * A place in DATA_DIR for one member of a group, so that a restart finds the member id of its killed former self.
 * Its lock goes with the process: who holds it knows that the former member is gone.
 */
export type MemberSlot = {
  former(): string | null;
  remember(memberId: string): void;
  forget(): void;
  release(): void;
};

/** Members of one group on one DATA_DIR. */
const MEMBER_SLOTS_MAX = 64;

/** Takes a free place; null where all are taken: such a member is not remembered. */
export function takeMemberSlot(dataDir: string, group: string): MemberSlot | null {
  const dir = join(dataDir, "kafka-members");
  makePrivateDirectory(dir);
  for (let n = 0; n < MEMBER_SLOTS_MAX; n++) {
    const lock = tryLockFile(join(dir, `${group}.${n}.lock`));
    if (!lock) continue;
    const path = join(dir, `${group}.${n}.id`);
    return {
      former: () => new TextDecoder().decode(readIfThere(path) ?? undefined) || null,
      remember: (memberId) => Deno.writeTextFileSync(path, memberId, PRIVATE),
      forget: () => removeIfThere(path),
      release: () => lock.release(),
    };
  }
  return null;
}
