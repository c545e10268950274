/** Stands where a page's data would be while the processor is away. */
export function Unavailable({ what }: { what: string }) {
  return (
    <div class="empty">
      <p>
        <strong>The processor does not answer.</strong>
      </p>
      <p class="quiet">
        {what}; it is shown again once the processor is back. The strip above says which service is away.
      </p>
    </div>
  );
}
