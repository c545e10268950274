import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";

describe("addresses", () =>
  test.each([
    "mail ⟦jane@example。org⟧ please",
    "⟦jane@mail。example。org⟧",
    "邮箱 ⟦jane@example.com⟧。谢谢",
    "ask ⟦jane@example.com⟧(work)",
    "⟦jane (at) example (dot) org⟧",
    "⟦a@x.com⟧",
    "⟦jane.roe@selfcare.services⟧",
    "⟦jane@target.com⟧",
    "⟦jane@data.gov⟧",
    "f(⟦jane@example.de⟧)",
    "⟦o'neil@example.ie⟧",
    "⟦jane@example.museum⟧",
    "to=⟦jane@example.online⟧;",
    "<⟦jane@socket.io⟧>",
  ])("%s", (text) =>
    expect(sanitise(text.replace(/[⟦⟧]/g, "")).text).toBe(text.replace(/⟦[^⟧]*⟧/g, "<EMAIL_ADDRESS>"))));

describe("what only looks like an address", () =>
  test.each([
    "scores = q@k.transpose(-2, -1)",
    "X.T@y.flatten()",
    "out = x@self.weight + b",
    "h@W.weight.mean()",
    "(a@b.reshape(3, 4)).sum()",
    "w@x.view(-1)",
    "systemctl status getty@tty1.service",
    "user@1000.service: Main process exited",
    "sshd@3-10.socket",
    "backup@daily.timer",
    "wg-quick@wg0.target",
    "user@1000.slice",
    "lodash@4.17.21",
    "@scope/pkg@1.2.3-beta.4",
    "npm i react@18.2.0 @types/react@18.2.0",
    "icon@hidpi.svg",
    "theme@dark.css",
    "data@config.json",
    "git@github.com:org/repo.git",
    "@app.route('/x')",
    "this@Main.context",
    "Δ@w.transpose(1)",
    "user@host:~$ ls",
    "A@B.inv()",
  ])("%s", (text) => expect(sanitise(text).text).toBe(text)));

describe("a forge's git user is no address", () =>
  test.each(["ssh -T git@github.com", "ssh git@gitlab.example.com", "Host git@bitbucket.org works"])(
    "%s",
    (text) => expect(sanitise(text).text).toBe(text),
  ));
