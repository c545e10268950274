import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

/** Why a text is no JSON, in words; null where it is some. */
function problemOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `This is no JSON: ${(error as Error).message}`;
  }
}

/**
 * A letter's record to be edited and sent again; what is no JSON is said before anything is sent. `problem`: why it was not
 * sent just now. Without script the server says the same.
 */
export default function LetterEdit(
  { id, value, problem }: { id: string; value: string; problem: string | null },
) {
  const said = useSignal(problem);
  const field = useRef<HTMLTextAreaElement>(null);
  const send = (event: Event) => {
    said.value = problemOf(field.current!.value);
    if (said.value === null) return;
    event.preventDefault();
    field.current!.focus();
  };
  // Somebody who mends it is told at once, and nobody is told while they still write.
  const look = () => {
    if (said.value !== null) said.value = problemOf(field.current!.value);
  };
  return (
    <form
      method="post"
      action={`/dead-letters/${encodeURIComponent(id)}?edit=1#edited`}
      class="stack"
      onSubmit={send}
    >
      <div class="field">
        <label for="edited">Record</label>
        <textarea
          id="edited"
          name="value"
          class="mono"
          rows={14}
          dir="auto"
          spellcheck={false}
          autoFocus
          aria-describedby="edit-problem"
          aria-invalid={said.value !== null}
          ref={field}
          onInput={look}
        >
          {value}
        </textarea>
      </div>
      <p id="edit-problem" class="trouble" role="alert">{said.value}</p>
      <div class="buttons">
        <button type="submit" name="do" value="resend">Resend</button>
        <a class="button quiet-button" href={`/dead-letters/${encodeURIComponent(id)}`} aria-current="false">
          Leave it as it is
        </a>
      </div>
    </form>
  );
}
