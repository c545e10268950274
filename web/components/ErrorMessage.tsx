/** What an error page says: what happened, and where to go on. */
export function ErrorMessage({ status }: { status: number }) {
  const known = status === 404 || status === 405;
  return (
    <section class="page narrow">
      <h1>{known ? "There is no such page" : "This page could not be made"}</h1>
      <p>
        {known
          ? "Nothing lives at this address. The live page shows what is happening now."
          : "Something went wrong on this server; its log says what. What was captured before stays where it is."}
      </p>
      <p>
        <a class="button" href="/" aria-current="false">Go to Live</a>
      </p>
    </section>
  );
}
