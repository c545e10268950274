import type { TopicConsumers } from "../../contract/processor_api.ts";
import type { GroupMember, TopicLog } from "../../topic/topic.ts";

type Consumers = TopicConsumers["groups"][number];
type OwnMember = { readonly name: string; readonly partitions: readonly number[] };

/**
 * `GET /api/topic`: who reads which partitions, by the group's own word. A log of one process knows no other reader than
 * this one's loops; where the log cannot be asked they are all that is known.
 */
export async function topicConsumers(
  log: Pick<TopicLog, "members">,
  { topic, groups, own }: {
    readonly topic: string;
    readonly groups: readonly string[];
    /** This processor's members of a group. */
    readonly own: (group: string) => readonly OwnMember[];
  },
): Promise<TopicConsumers> {
  return {
    groups: await Promise.all(groups.map(async (group) => {
      const found = log.members ? await log.members(topic, group).catch(() => null) : [];
      return consumersOf(group, { own: own(group), found, isAlone: log.members === undefined });
    })),
  };
}

/** `found` null: the log could not be asked. `isAlone`: nobody else can read it. */
export function consumersOf(
  group: string,
  { own, found, isAlone }: {
    readonly own: readonly OwnMember[];
    readonly found: readonly GroupMember[] | null;
    readonly isAlone: boolean;
  },
): Consumers {
  const reading = own.filter(({ partitions }) => partitions.length > 0);
  if (isAlone || found === null) {
    const consumers = reading.map(({ name, partitions }) => ({
      name,
      own: true,
      host: null,
      partitions: sorted(partitions),
    }));
    return { group, complete: isAlone, consumers };
  }
  // A partition has one reader: who has the same ones is the same member.
  const nameOf = new Map(reading.map(({ name, partitions }) => [sorted(partitions).join(), name]));
  const consumers = found.filter(({ partitions }) => partitions.length > 0).map((member) => {
    const partitions = sorted(member.partitions);
    const name = nameOf.get(partitions.join());
    return { name: name ?? member.memberId, own: name !== undefined, host: member.host, partitions };
  });
  return { group, complete: true, consumers: consumers.sort((a, b) => a.partitions[0]! - b.partitions[0]!) };
}

const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);
