import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";
import { unmark } from "../testdata/marked.ts";

function check(rows: readonly string[]): void {
  test.each(rows.map((row) => [unmark(row)] as const))("$input", ({ input, output }) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}

describe("columns whose title names a credential", () =>
  check([
    "| User | Password | Role |\n|------|----------|------|\n| bob  | ‹letmein› | admin |\n| eve  | `‹Zk81nnB2›` | guest |",
    "user | pwd\n--- | ---\nbob | ‹Zk81nnB2›",
    " id | login | password\n----+-------+----------\n  1 | bob   | ‹letmein›",
    "name,email,password\nbob,none,‹letmein9›\neve,none,‹Zk81nnB2›",
    "username;password;host\nbob;‹letmein›;db1",
    "username\tpassword\nbob\t‹letmein›",
    '"user","api_key","note"\n"bob","«tr4gb9XqLm77»","x, y"',
    "service,token\nci,«tr4gb9XqLm77»",
    "usuario,contraseña\nbob,‹letmein›",
  ]));

describe("tables about credentials, and lines that only look like a table, stay", () =>
  check([
    "| Feature | Password | Passkey |\n|---------|----------|---------|\n| Phishing resistant | No | Yes |",
    "| Option | Token | Default |\n|---|---|---|\n| a | string | 1 |",
    "| Password | Must have 8 characters |",
    "name, password, and email are required.\nWe send them, encrypted, to the server2.",
    "def f(user, password, host):\n    return user, password, host1",
    "user,password\nbob,<password>\neve,********",
    "SELECT user, password, host\nFROM mysql.user, x2, y3",
    "user=user,\npassword=password1,",
  ]));

describe("columns with more titles, and of inserted rows", () =>
  check([
    "| Service | User | Pass |\n|---|---|---|\n| ftp | bob | ‹Zk81nnB2› |",
    "title,user,pass\nx,bob,‹Zk81nnB2›",
    "usuario,clave\nbob,‹Zk81nnB2›",
    "utilisateur,mot_de_passe\nbob,‹Zk81nnB2›",
    "login,haslo\nbob,‹Zk81nnB2›",
    "INSERT INTO users (name, password) VALUES ('bob', '‹Zk81nnB2›');",
    "insert into users(username,password,email)\nvalues('bob','‹dragonfly›','x');",
    "INSERT INTO `apps` (`id`, `api_key`) VALUES (1, '«tr4gb9XqLm77kfl2»')",
  ]));

describe("results of tests, and inserted rows without literals, stay", () =>
  check([
    "student,login,pass\nBob,bob12,yes",
    "name,pass,fail\nsuite1,12,3",
    "INSERT INTO users (name, password) VALUES (?, ?)",
    "INSERT INTO users (name, password) VALUES (:name, :password)",
    "INSERT INTO users (name, password_hash) VALUES ('bob', NULL)",
    "INSERT INTO tokens (id, count) VALUES ('a1', 12)",
    "INSERT INTO users(name, password) VALUES ('bob', 'password')",
    "INSERT INTO users (name, password) VALUES ('\" + name + \"', '\" + pw + \"')",
  ]));
