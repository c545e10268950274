import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";
import { unmark } from "../testdata/marked.ts";
import { drawer, drawsOf } from "../testdata/samples.ts";

/** Made at run time, so that no scanner takes this file for a leak. */
const { of, hex, alnum } = drawsOf(drawer(99));
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const b64 = (length: number) => of(`${LETTERS}+/`, length);
const url = (length: number) => of(`${LETTERS}-_`, length);

function check(rows: readonly string[]): void {
  test.each(rows.map((row) => [unmark(row)] as const))("$input", ({ input, output }) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}

describe("values of cookies, by their header or list", () =>
  check([
    `Cookie: session=«${hex(32)}»; theme=dark; lang=en`,
    `Cookie: PHPSESSID=«${alnum(26).toLowerCase()}»`,
    `Cookie: connect.sid=«s%3A${url(32)}.${alnum(43)}»; _lang=de`,
    `Set-Cookie: JSESSIONID=«${hex(32).toUpperCase()}»; Path=/app; HttpOnly; Secure; SameSite=Lax`,
    `set-cookie: sid=«${alnum(10)}7»; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Max-Age=3600`,
    `> Cookie: remember_token=«1|${hex(40)}»; consent=yes`,
    `curl -H 'Cookie: sid=«${alnum(20)}»; a=b' https://x.example`,
    `curl -b "session=«${alnum(20)}»" https://x.example`,
    `curl --cookie "session=«${alnum(20)}»; theme=dark" https://x.example`,
    `headers = {"Cookie": "sessionid=«${alnum(32)}»; csrftoken=«${alnum(32)}»"}`,
    `document.cookie = "auth_token=«${alnum(24)}»; path=/"`,
    `requests.get(u, cookies={'session': '«${alnum(24)}»', 'theme': 'dark'})`,
    `res.cookie('sid', '«${alnum(24)}»', { httpOnly: true })`,
    `setcookie("session", "«${alnum(24)}»", time() + 3600);`,
    `Cookies.set('token', '«${alnum(24)}»')`,
    `"cookies": [{"name": "sid", "value": "«${
      alnum(24)
    }»", "path": "/", "httpOnly": true}, {"name": "theme", "value": "dark"}]`,
    `"cookies": [\n  {\n    "name": "JSESSIONID",\n    "value": "«${
      hex(32)
    }»",\n    "domain": "x.example"\n  }\n]`,
    `Cookie: laravel_session=«${b64(60)}»; XSRF-TOKEN=«${b64(40)}»`,
    `Cookie: .ASPXAUTH=«${hex(64).toUpperCase()}»; ASP.NET_SessionId=«${alnum(24).toLowerCase()}»`,
    `Cookie: wordpress_logged_in_1a=«bob%7C1712345986%7C${alnum(43)}»`,
    `{"cookie":"sid=«${alnum(20)}»"}`,
    `cookie: __Host-id=«${alnum(24)}»`,
  ]));

describe("settings in cookies, references, and cookies in prose stay", () =>
  check([
    "Cookie: theme=dark; lang=en; consent=yes",
    "Set-Cookie: lang=en; Path=/; Max-Age=31536000; SameSite=Strict",
    "Cookie: session is required, auth=basic, key=value&x=1",
    "Cookie: session=<your session>",
    "Cookie: session=$SESSION",
    "cookie: sid=${sid}",
    "document.cookie = name + '=' + value",
    "res.cookie('theme', 'dark-mode2')",
    "cookies.set('lang', lang2)",
    "const sid = req.cookies['connect.sid']",
    "cookie banner text: we use cookies, session2 and more",
    "cookieParser('session')",
    "Cookie: a=1; b=2; c=3",
    "Set-Cookie: session=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "'cookies': {'theme': 'dark', 'tz': 'utc+2'}",
    "SameSite=None; Secure cookies",
    "Bake cookies: sugar=200g; flour=300g; eggs=2",
  ]));

describe("cookies in more calls and lists, and sessions by their names", () =>
  check([
    `set-cookie: ["sid=«${alnum(24)}»; Path=/; HttpOnly"]`,
    `headers["Cookie"] = "session=«${alnum(32)}»"`,
    `req.Header.Add("Cookie", "session=«${alnum(32)}»")`,
    `.set('Cookie', ['sid=«${alnum(24)}»'])`,
    `{"name": "Cookie", "value": "sid=«${alnum(24)}»; lang=en"}`,
    `cookies: { session: '«${alnum(32)}»' }`,
    `requests.get(u, cookies=dict(sid="«${alnum(24)}»"))`,
    `cookieJar.set("sid", "«${alnum(24)}»")`,
    `curl --cookie sid=«${alnum(24)}» https://x`,
    `curl -b session=«${alnum(32)}» https://x`,
    `http://x.example/a.php?PHPSESSID=«${alnum(26).toLowerCase()}»`,
    `http://x.example/a;jsessionid=«${hex(32).toUpperCase()}»?b=1`,
    `connect.sid=«s:${alnum(32)}.${alnum(43)}»`,
    `my session cookie is «${alnum(32)}»`,
    `Cookie: express:sess=«${alnum(40)}»`,
  ]));

describe("branches, files of cookies and settings in the same places stay", () =>
  check([
    "JSESSIONID is set by Tomcat 9",
    "PHPSESSID=undefined",
    "the session cookie is missing",
    "cookie: session expired",
    "cookie is httpOnly, value abc",
    "curl -b cookies.txt -c cookies.txt https://x",
    "curl --cookie cookies.txt https://x",
    "git checkout -b feature/login-2",
    'cookieJar.set("theme", "dark2")',
    "cookies: { lang: 'en-US' }",
    'cookies=dict(theme="dark")',
  ]));
