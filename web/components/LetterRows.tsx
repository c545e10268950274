import type { DeadLetterView } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";
import { count, plural } from "../core/format.ts";

/** One letter of the list: why, where from, how often it went round, and what can be done with it. */
export function LetterRow({ letter, redrivesMax }: { letter: DeadLetterView; redrivesMax: number }) {
  return (
    <li class="row" data-id={letter.id}>
      <div class="row-head">
        <strong dir="auto">{letter.reason}{letter.unread && `: ${letter.unread.why}`}</strong>
        <span class="when">
          <Ago at={letter.firstSeen} />
        </span>
      </div>
      <div class="way">
        <LetterWay letter={letter} redrivesMax={redrivesMax} />
        <div class="actions">
          <a href={`/dead-letters/${encodeURIComponent(letter.id)}`} aria-label={`Show letter ${letter.id}`}>
            show
          </a>
          <RowAction letter={letter} redrivesMax={redrivesMax} />
        </div>
      </div>
    </li>
  );
}

function LetterWay({ letter, redrivesMax }: { letter: DeadLetterView; redrivesMax: number }) {
  const { id, step, topic, partition, offset, redrives } = letter;
  return (
    <ul class="way-of-letter mono">
      <li title={`letter ${id}: its partition and offset in the dead-letter topic`}>{id}</li>
      <li title={`the step that could not go on: ${step}`}>{step}</li>
      <li title={`${topic}, partition ${partition}, offset ${offset}`}>p{partition} @ {offset}</li>
      <li>
        redriven {count(redrives)} of {count(redrivesMax)}
      </li>
      {letter.editedIn && (
        <li>
          edited in{" "}
          <a href={`/dead-letters/${encodeURIComponent(letter.editedIn)}`} aria-current="false">
            {letter.editedIn}
          </a>
        </li>
      )}
    </ul>
  );
}

/** The same words on every row, so that a column of buttons can be scanned; which letter is said to those who cannot see it. */
function RowAction({ letter, redrivesMax }: { letter: DeadLetterView; redrivesMax: number }) {
  if (letter.redriven) return <span class="ok">redriven{letter.edited && ", edited"}</span>;
  if (letter.dismissed) {
    const { words } = letter.dismissed;
    return <span class="quiet break" dir="auto">set aside for good{words && `: ${words}`}</span>;
  }
  if (letter.unread) return <span class="quiet" title={NO_RECORD}>no record</span>;
  if (letter.redrives >= redrivesMax) {
    return <span class="quiet" title={wornOut(redrivesMax)}>worn out</span>;
  }
  return (
    <form method="post" action="/dead-letters">
      <input type="hidden" name="letter" value={letter.id} />
      <button type="submit" class="link" aria-label={`Redrive letter ${letter.id}`}>redrive</button>
    </form>
  );
}

/** Of what was set aside unread. */
export const NO_RECORD = "What was set aside could not be read: there is no record to redrive.";

/** Why a letter that was redriven this many times is not redriven again. */
export function wornOut(redrivesMax: number): string {
  return `Redriven ${redrivesMax} ${
    plural(redrivesMax, "time")
  } and set aside again: another round does not help.`;
}

/** The buttons of a form about one letter, or about all. */
export function RedriveForm({ letter, label }: { letter: string; label: string }) {
  return (
    <form method="post" action="/dead-letters" class="buttons">
      <input type="hidden" name="letter" value={letter} />
      <button type="submit" name="do" value="redrive">{label}</button>
      <button type="submit" name="do" value="dry-run" class="quiet-button">Dry run</button>
    </form>
  );
}

/** How many letters each reason has, with bars on one scale. */
export function ReasonTable({ byReason, total }: { byReason: Record<string, number>; total: number }) {
  const reasons = Object.entries(byReason).sort((a, b) => b[1] - a[1]);
  const most = reasons[0]?.[1] ?? 1;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Reasons">
      <table class="reasons">
        <caption>
          {count(total)} {plural(total, "dead letter")} by reason
        </caption>
        <thead>
          <tr>
            <th scope="col">Reason</th>
            <th scope="col" class="right">Letters</th>
          </tr>
        </thead>
        <tbody>
          {reasons.map(([reason, letters]) => (
            <tr key={reason}>
              <th scope="row" dir="auto">
                {reason}
                <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                  <rect width={Math.max(0.5, (letters / most) * 100)} height="4" />
                </svg>
              </th>
              <td class="mono right">{count(letters)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
