import MenuCount from "../islands/MenuCount.tsx";
import PageFoot from "../islands/PageFoot.tsx";
import StatusStrip from "../islands/StatusStrip.tsx";
import { RELAY_PATH } from "../server/relay.ts";
import { define, settings } from "../utils.ts";

const PAGES = [
  { href: "/", name: "Live" },
  { href: "/topic", name: "Topic" },
  { href: "/dataset", name: "Dataset" },
  { href: "/mail", name: "Mail" },
  { href: "/offers", name: "Offers" },
  { href: "/dead-letters", name: "Dead letters" },
];

/** The frame of every page: skip link, name, navigation, what runs here, and the status strip. */
export default define.layout(function Layout({ Component, state, url }) {
  const { posthogKey, fresh } = settings();
  return (
    <>
      <a class="skip" href="#content">Skip to content</a>
      <header class="top">
        <div class="bar">
          {/* Fresh marks links that lead up from where somebody is; which page is current is said here alone. */}
          <a class="name" href="/" aria-current="false">Pipeline</a>
          <nav aria-label="Pages">
            <ul>
              {PAGES.map(({ href, name }) => (
                <li key={href}>
                  <a href={href} aria-current={isWithin(url.pathname, href) ? "page" : "false"}>
                    {name}
                    {href === "/mail" && <MenuCount of="mails" />}
                    {href === "/dead-letters" && (
                      <MenuCount
                        of="dead letters"
                        waiting={state.services?.status?.deadLetters.total ?? null}
                      />
                    )}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <p class="runs">{whatRuns({ log: state.services?.status?.log, fresh })}</p>
        </div>
        <StatusStrip initial={state.services ?? null} posthogKey={posthogKey} relayPath={RELAY_PATH} />
      </header>
      <main id="content">
        <Component />
      </main>
      <footer id="foot" class="foot">
        <PageFoot />
      </footer>
    </>
  );
});

function isWithin(path: string, href: string): boolean {
  return href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`);
}

function whatRuns(
  { log, fresh }: { log: "embedded" | "kafka" | undefined; fresh: "jsr" | "npm" | null },
): string {
  const topic = log === "kafka" ? "Kafka" : log === "embedded" ? "embedded log" : null;
  return [topic, fresh === "npm" ? "Fresh (npm)" : "Fresh"].filter((part) => part !== null).join(" · ");
}
