import { countDigits, entropy } from "../checks.ts";
import { type CountedText, stretches } from "../counted_text.ts";
import { before } from "../numbers.ts";
import { isSurprising } from "./drawn.ts";
import { isIdentifier, isKey, isUuid, VALUE_CHECKS } from "./readings.ts";

type Found = (start: number, end: number) => void;

/** Names of services and keys whose value is taken for a key where it looks drawn by lot; see {@link findNamedKeys}. */
export const KEY_WORDS: ReadonlySet<string> = new Set(
  ("key keys apikey secret token auth credential credentials bearer password pat " +
    "adafruit airbrake airtable algolia amplitude appcues artifactory asana assemblyai atlassian auth0 azure beamer bitbucket bitly " +
    "buildkite circleci clearbit clickup cloudflare cloudinary codecov cohere coinbase confluent contentful coveralls datadog " +
    "deepgram discord docusign dropbox dynatrace etsy facebook fastly figma finicity finnhub flickr freshbooks freshdesk " +
    "gitlab gitter gocardless grafana heroku hubspot instagram intercom jenkins jira kaggle klaviyo kraken kucoin launchdarkly " +
    "linkedin logdna mailchimp mailgun mailjet mapbox mattermost messagebird mistral mixpanel nasa netlify newrelic nytimes okta " +
    "openai opsgenie opsgenie pagerduty papertrail paypal pendo pinecone pipedrive plaid planetscale postmark pubnub pusher " +
    "quicknode rapidapi razorpay rollbar segment sendbird sendgrid sentry shodan shopify sidekiq snyk sparkpost splunk spotify " +
    "square squarespace stripe sumologic surge telegram terraform tinypng trello travis twitch twilio twitter typeform " +
    "unsplash vimeo virustotal vonage wakatime weatherapi openweather webflow wrike xero yandex yelp zapier zendesk zoom")
    .split(" "),
);
const NOT_KEYS =
  /^(?:public|primary|foreign|cache|sort|partition|row|object|idempotency|hash|sha|sha1|sha256|md5|digest|commit|checksum|etag|fingerprint|integrity|revision|uuid|guid|image|model|path|url|file|id|ref|branch|version)$/;
const STRETCH = stretches(/[A-Za-z0-9_\-+/.~]/, 20);
/** Longest stretch that is looked at; a key has hardly more than 200 characters. */
const STRETCH_MAX = 512;

/** Long values drawn by lot that stand after a word like "key", or after a provider's name and a separator. */
export function findNamedKeys(text: CountedText, found: Found): void {
  for (let match = text.stretch(STRETCH, 0); match !== null; match = text.stretch(STRETCH, match.end)) {
    const { start, end, text: written } = match;
    if (end - start > STRETCH_MAX || countDigits(written) < 2 || text.char(start - 1) === "=") continue;
    const value = (written + paddingAt(text, end)).replace(/[.]+$/, "");
    text.looks.spend(VALUE_CHECKS * value.length);
    if (countDigits(value) < (isSurprising(value) ? 2 : 3) || !isKey(value, false) || entropy(value) < 3.3) {
      continue;
    }
    if (
      value.replace(/[^A-Za-z]/g, "").length < 4 ||
      (text.char(start + value.length) === "(" && isIdentifier(value))
    ) continue;
    if (isUuid(value) || !isNamedKey(before(text, start, 48), value)) continue;
    found(start, start + value.length);
  }
}

/** At most two `=`, where nothing goes on behind them. */
function paddingAt(text: CountedText, end: number): string {
  return /^={0,2}(?![A-Za-z0-9_\-+/.~])/.exec(text.slice(end, end + 3))?.[0] ?? "";
}

function isNamedKey(context: string, value: string): boolean {
  const line = context.slice(context.lastIndexOf("\n") + 1);
  const words = line.match(/\p{Lu}?\p{Ll}+\d*|\p{Lu}+\d*/gu) ?? [];
  const near = words.slice(-4).map((word) => word.toLowerCase());
  const name = near.findLastIndex((word) => KEY_WORDS.has(word));
  if (/sec-websocket-\w+["':,\s]*$/i.test(line)) return false;
  if (name < 0 || near.some((word) => NOT_KEYS.test(word))) return false;
  if (!/[:=>"'`(]\s{0,3}["'`]?$|\b(?:is|(?:api)?key|token|secret|use|this)\s$/i.test(line)) return false;
  return near.length > 1 && near[name] !== "keys" && near.length - name <= 2 || isMixed(value);
}

function isMixed(value: string): boolean {
  return value.length >= 24 && /[a-z]/.test(value) && /[A-Z]/.test(value) && entropy(value) >= 4;
}
