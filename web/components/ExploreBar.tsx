import { Fragment, type Ref } from "preact";
import { type Kind, KINDS, type Wanted } from "../core/explore.ts";
import { count } from "../core/format.ts";

/** What of the list is shown, and whether new rows are let in. Its keys are said in the dialog behind "Keys". */
export function ExploreBar(
  { wanted, want, paused, pause, waiting, letIn, search, openHelp }: {
    wanted: Wanted;
    want: (wanted: Wanted) => void;
    paused: boolean;
    pause: () => void;
    /** New rows that wait while it is paused. */
    waiting: number;
    letIn: () => void;
    search: Ref<HTMLInputElement>;
    openHelp: () => void;
  },
) {
  return (
    <div class="explore scripted" role="search" aria-label="Events">
      <div class="field grow">
        <label for="search">Search events</label>
        <input
          ref={search}
          id="search"
          type="search"
          autocomplete="off"
          placeholder="id, prompt, event or p3 @ 41"
          value={wanted.search}
          onInput={(event) => want({ ...wanted, search: event.currentTarget.value })}
        />
      </div>
      <div class="field">
        <label for="kind">Kind</label>
        <select
          id="kind"
          value={wanted.kind}
          onChange={(event) => want({ ...wanted, kind: event.currentTarget.value as Kind })}
        >
          {Object.entries(KINDS).map(([kind, name]) => <option key={kind} value={kind}>{name}</option>)}
        </select>
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={wanted.onlyMine}
          onChange={(event) => want({ ...wanted, onlyMine: event.currentTarget.checked })}
        />
        Only mine
      </label>
      <div class="buttons">
        <button type="button" class="quiet-button" aria-pressed={paused ? "true" : "false"} onClick={pause}>
          Pause
        </button>
        {waiting > 0 && (
          <button type="button" class="quiet-button" onClick={letIn}>{count(waiting)} new</button>
        )}
        <button type="button" class="quiet-button" onClick={openHelp}>Keys</button>
      </div>
    </div>
  );
}

const KEYS = [
  ["/", "search"],
  ["j", "next row"],
  ["k", "row before"],
  ["p", "pause, and go on"],
  ["?", "this list"],
] as const;

/** The keys, and a way to turn them off for who types by voice. */
export function KeysHelp(
  { dialog, on, turn }: { dialog: Ref<HTMLDialogElement>; on: boolean; turn: (on: boolean) => void },
) {
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title">
      <form method="dialog" class="stack">
        <h2 id="keys-title">Keys</h2>
        <dl class="facts">
          {KEYS.map(([key, does]) => (
            <Fragment key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{does}</dd>
            </Fragment>
          ))}
        </dl>
        <label class="check">
          <input type="checkbox" checked={on} onChange={(event) => turn(event.currentTarget.checked)} />
          Keys are on
        </label>
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
