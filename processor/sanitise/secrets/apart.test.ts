import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";
import { unmark } from "../testdata/marked.ts";

function check(rows: readonly string[]): void {
  test.each(rows.map((row) => [unmark(row)] as const))("$input", ({ input, output }) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}

describe("a name and its value apart: in lists, manifests, elements, blocks, and files of passwords", () =>
  check([
    "env:\n  - name: DB_PASSWORD\n    value: ‹tr4gb9Xq›\n  - name: DB_HOST\n    value: db1",
    'env:\n  - name: DB_PASSWORD\n    value: "‹letmein›"',
    '[{"name": "API_TOKEN",\n  "value": "«tr4gb9XqLm77»"}]',
    '{"Name":"DB_PASSWORD","Value":"‹letmein›"}',
    '{"ParameterKey": "DBPassword", "ParameterValue": "‹tr4gb9Xq›"}',
    '"headers": [\n  {\n    "name": "Authorization",\n    "value": "Bearer «tr4gb9XqLm77zz»"\n  },\n  {\n    "name": "X-Api-Key",\n    "value": "«tr4gb9XqLm77»"\n  }\n]',
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\ndata:\n  username: YWRtaW4=\n  password: ‹bGV0bWVpbg==›\n  tls.key: «TUlJRXZRSUJBREFOQmdrcWhraUc5dw==»",
    "apiVersion: v1\nstringData:\n  connection: «letmein»\n  DB_HOST: db1\n  host: db1\nkind: Secret",
    '<appSettings>\n  <add key="SmtpPassword" value="‹letmein›"/>\n  <add key="SmtpHost" value="mail1"/>\n</appSettings>',
    '<property name="hibernate.connection.password" value="‹letmein›"/>',
    '<property name="connection.password">‹tr4gb9Xq›</property>',
    '<string name="api_key">«tr4gb9XqLm77»</string>',
    "<server><id>x</id><username>bob</username><password>‹letmein›</password></server>",
    "<password>\n    ‹tr4gb9Xq›\n</password>",
    '<setting name="ApiKey" serializeAs="String"><value>x</value></setting>',
    "password: |\n  ‹tr4gb9Xq›\nuser: bob",
    "api_key: >-\n  «tr4gb9XqLm77»",
    'variable "db_password" {\n  description = "The password"\n  type        = string\n  default     = "‹letmein9›"\n}',
    'variable "db_user" {\n  default = "bob1"\n}\nvariable "db_password" {\n  type = string\n}\nresource "x" "y" { default = "abc1" }',
    "machine api.example.com login bob password ‹letmein›",
    "machine api.example.com\n  login bob\n  password ‹letmein›",
    "default login anonymous password ‹letmein›",
    "db.internal:5432:shop:app:‹letmein›\n*:5432:*:bob:‹Zk81nnB2›",
    "[client]\nuser=root\npassword=‹letmein›",
    "[mail]\nsmtp.host=mail.example.org\nsmtp.username=bob\nsmtp.password=‹letmein›",
    "[db]\npassword = ‹Zk81nnB2›",
    '{"key":"password","value":"‹Zk81nnB2›","type":"text"}',
    'parser.add_argument("--password", default="‹letmein9›")',
  ]));

describe("names without a value, and values that are references or words, stay", () =>
  check([
    'parser.add_argument("--password", default=None)',
    "env:\n  - name: DB_PASSWORD\n    valueFrom:\n      secretKeyRef:\n        name: db-2\n        key: password",
    "- name: password\n  value: string",
    "kind: Secret\nmetadata:\n  name: db-secret-1\n  namespace: prod1\ntype: kubernetes.io/tls",
    "kind: ConfigMap\ndata:\n  color: blue123",
    "kind: Secret\nstringData:\n  password: ${DB_PASSWORD}\n  token: <token>\n  user: bob",
    '<add key="PasswordPolicy" value="strong1"/>',
    '<input type="password" name="password" value="" />',
    "<password>${db.password}</password>",
    '<label for="password">Password</label>',
    "src/db.c:5432:shop:app:letmein1 and more",
    "user = input1()\npassword = getpass()",
    "username=Benutzername\npassword=Passwort",
    "login: page\npassword: field",
    'variable "password" {}',
    "password: >\n  Enter the password that you were given",
    "password: |\n  Must be long",
  ]));

describe("more names apart from their values", () =>
  check([
    '<property name="hibernate.connection.password">‹dragonfly›</property>',
    "<property>\n  <name>javax.jdo.option.ConnectionPassword</name>\n  <value>‹dragonfly›</value>\n</property>",
    '<bean><property name="password"><value>‹dragonfly›</value></property></bean>',
    '<setting name="Password" serializeAs="String"><value>‹dragonfly›</value></setting>',
    "<key>password</key><string>‹dragonfly›</string>",
    "<key>APIKey</key>\n<string>«tr4gb9XqLm77kfl2»</string>",
    '<user username="tomcat" password="‹dragonfly›" roles="manager"/>',
    '<Connector port="8443" keystorePass="‹dragonfly›" />',
    '{"id":"password","type":"concealed","value":"‹Zk81nnB2›"}',
    'output "password" {\n  value = "‹Zk81nnB2›"\n}',
    'resource "x" "y" {\n  master_password = "‹dragonfly›"\n}',
  ]));

describe("elements that hold labels or references stay", () =>
  check([
    '<string name="forgot_password">Forgot</string>',
    '<property name="password">${jdbc.password}</property>',
    '<property name="passwordEncoder" ref="encoder2"/>',
    '<label for="password">Kennwort</label>',
    "<name>password</name>\n<value>${pw}</value>",
    'output "password" {\n  value = random_password.db.result\n}',
    '<param name="password" type="string"/>',
    '<Login title="x" password="required"/>',
  ]));
