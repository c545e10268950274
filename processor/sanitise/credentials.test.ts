import { describe, expect, test } from "vitest";
import { sanitise } from "./mod.ts";
import { unmark } from "./testdata/marked.ts";
import { drawer, drawsOf } from "./testdata/samples.ts";

function check(rows: readonly string[]): void {
  test.each(rows.map((row) => [unmark(row)] as const))("$input", ({ input, output }) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}

describe("names of credentials, whole and by parts, in several languages", () =>
  check([
    "DB_PWD=‹tr4gb9Xq›",
    '"db_pwd": "‹n8Vq2LmZ›"',
    "mytool --db-pwd ‹s3cr3tW0rd› --verbose",
    "LDAP_BIND_PWD=‹Zu7!kkwP›",
    "export MYSQL_PWD=‹w9Kd83hf›",
    "smtpPass: '‹p4lmTree9›'",
    'smtpPass = "‹Qw3rty!zz›";',
    "pgpassword=‹Kx72hfQ›",
    "PGPASSWORD=‹Kx72hfQ› psql -h db",
    "passwd2: ‹Tr0ub4dor›",
    "dbpass=‹77Ghtz!p›",
    "db_pass: ‹77Ghtzp›",
    "rootpw=‹9sLdk2f›",
    '"ftpPwd":"‹aZ9kd02›"',
    "ROOT_PW=‹9sLdk2f›",
    "spring.datasource.password=‹Jh7sK2mn›",
    "adminPasswd => '‹Jh7sK2mn›'",
    "userPwd = '‹Jh7sK2mn›'",
    "senha_db: ‹Jh7sK2mn›",
    "DB_SENHA=‹Jh7sK2mn›",
    "contrasena=‹Jh7sK2mn›",
    'db_contrasena: "‹Jh7sK2mn›"',
    "MOT_DE_PASSE=‹Jh7sK2mn›",
    "mdp: ‹Jh7sK2mn›",
    'haslo = "‹Jh7sK2mn›"',
    "sifre: ‹Jh7sK2mn›",
    "DB_SIFRE=‹Jh7sK2mn›",
    "losenord: ‹Jh7sK2mn›",
    "KENNWORT=‹Jh7sK2mn›",
    'dbKennwort: "‹Jh7sK2mn›"',
    "clave: ‹Jh7sK2mn›",
    "wachtwoord_db=‹Jh7sK2mn›",
    'dbWachtwoord="‹Jh7sK2mn›"',
    "mi clave es ‹Jh7sK2mn›",
    "DB_PASSWORD=‹prod_9Xk2_zz›",
    "password: '‹tr4gb9Xq›'",
    "passwd: ‹tr4gb9Xq›",
    "The Wi-Fi password is ‹tr4gb9Xq›.",
  ]));

describe("names in subscripts, and what may stand between name and value", () =>
  check([
    "os.environ['DB_PASSWORD'] = '‹tr4gb9Xq›'",
    'os.environ["API_TOKEN"] = "«tr4gb9XqLm77»"',
    "$config[\"password\"] = '‹tr4gb9Xq›';",
    "$config['db']['pwd'] = '‹tr4gb9Xq›';",
    'headers["X-Api-Key"] = "«tr4gb9XqLm77»"',
    'process.env["TOKEN"] ??= "«tr4gb9XqLm77»"',
    "process.env.DB_PASSWORD ||= '‹tr4gb9Xq›'",
    "ENV['SECRET_KEY_BASE'] ||= '«tr4gb9XqLm77kfl2»'",
    ':password => "‹tr4gb9Xq›"',
    "$ENV{DB_PASSWORD} = '‹tr4gb9Xq›';",
    'settings["auth"]["client_secret"]: "«tr4gb9XqLm77»"',
    "DB_PASSWORD ?= ‹tr4gb9Xq›",
    "DB_PASSWORD := ‹tr4gb9Xq›",
    "@@config[:password] = '‹tr4gb9Xq›'",
    "config.password = '‹tr4gb9Xq›'",
    'self.password = "‹tr4gb9Xq›"',
    '$env:DB_PASSWORD = "‹tr4gb9Xq›"',
  ]));

describe("names that are declared, and names that are an argument before their value", () =>
  check([
    "set DB_PASSWORD=‹tr4gb9Xq›",
    "setx API_TOKEN «tr4gb9XqLm77»",
    "define('DB_PASSWORD', '‹tr4gb9Xq›');",
    'setenv("DB_PASSWORD", "‹tr4gb9Xq›", 1);',
    'os.environ.setdefault("DB_PASSWORD", "‹tr4gb9Xq›")',
    "os.putenv('DB_PASSWORD','‹tr4gb9Xq›')",
    'xhr.setRequestHeader("X-API-Key", "«tr4gb9XqLm77»")',
    "form.append('password', '‹tr4gb9Xq›')",
    'System.setProperty("javax.net.ssl.trustStorePassword", "‹tr4gb9Xq›");',
    '("password", "‹tr4gb9Xq›")',
    'const DB_PWD = "‹tr4gb9Xq›";',
    'export const smtpPass: string = "‹tr4gb9Xq›";',
    'password: str = "‹tr4gb9Xq›"',
    'String dbPassword = "‹tr4gb9Xq›";',
    'private static final String PASSWORD = "‹tr4gb9Xq›";',
    'let apiKey: String = "«tr4gb9XqLm77»"',
  ]));

describe("names and values in other dress", () =>
  check([
    "**Password:** ‹tr4gb9Xq›",
    "**Password**: ‹tr4gb9Xq›",
    "- **API Key:** `«tr4gb9XqLm77»`",
    "*Password:* ‹tr4gb9Xq›",
    "__Password__: ‹tr4gb9Xq›",
    "user=bob&password%3D‹tr4gb9Xq›%26x%3D1",
    "password%3A%20‹tr4gb9Xq›",
    "&quot;password&quot;:&quot;‹tr4gb9Xq›&quot;",
    "value=&#39;x&#39; api_key=&#39;«tr4gb9XqLm77»&#39;",
    '{"a":"{\\"b\\":\\"{\\\\\\"password\\\\\\":\\\\\\"‹tr4gb9Xq›\\\\\\"}\\"}"}',
    "Driver={SQL Server};UID=sa;PWD={‹tr4gb9Xq}}w›};",
    "PWD={‹tr4g;b9Xq›};Encrypt=yes",
  ]));

describe("words that hold a name, names about credentials and values that are none stay", () =>
  check([
    "compass: north2",
    "bypass = cache1",
    "renderPass2 = new RenderPass(scene)",
    "passing: 100%",
    "pass: 12345",
    "credentialsId: '019ad56c-5168-7457-bac6-82981da45fb3'",
    "credentialsId: 'github-deploy-key'",
    "password_reset_token_expires = 3600",
    "tokens_per_minute: 40000",
    '"token": "keyword.control.flow"',
    "token = nextToken2",
    "secretName: my-app-tls-2",
    "apiKeySecretRef: { name: prod-issuer-key-2 }",
    "keyId: '019ad56c-5168-7457-bac6-82981da45fb3'",
    "const token = useAuthToken2()",
    "const { password } = req.body1",
    "PWD=/home/user1/project",
    "OLDPWD=/var/www/app2",
    "echo $PWD",
    "password: ${DB_PASSWORD2}",
    "password: $DB_PASS1",
    '["password", "username2"]',
    "t('password', 'Passwort')",
    'form.get("password", default2)',
    "api_key: str = Field(default=None)",
    "password: Optional[str] = None",
    "session_id=019ad56c-5168-7457-bac6-82981da45fb3",
    '"auth": "required-2fa"',
    'const passwordInput2 = document.getElementById("password2")',
    "palabras clave: SEO2024, marketing",
    "palabra clave: iPhone15",
    "El mdp est obligatoire",
    '"token_endpoint": "https://auth.example.com/v1/token2"',
    '"secret_name": "prod/db/creds-2024"',
    "authToken: `${token1}`",
    "secret: !Ref DBSecret2",
    "key: value1",
    "partition_key=user_id_1234",
    "token: 'TOKEN_TYPE_2'",
    "tokenType: 'access2'",
    "if password == password2:",
    'password2 = forms.CharField(label="x")',
    "onPasswordChange={handlePwd1}",
    '<Field name="password" value={form1.password}/>',
    'author: "user1234x"',
    "author=jane2024",
  ]));

describe("short values drawn by lot, under a name that says key", () => {
  const draws = drawsOf(drawer(7));
  const ALPHABETS = {
    alnum: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "small letters and digits": "abcdefghijklmnopqrstuvwxyz0123456789",
    "base 32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    hex: "0123456789abcdef",
  };
  test.each(
    Object.entries(ALPHABETS).flatMap(([name, of]) =>
      [12, 16, 20, 24].map((length) => [name, length, of] as const)
    ),
  )("%s, %i characters: 95 in a hundred are found", (_, length, alphabet) => {
    for (const around of ["API_KEY=%", '"api_key": "%"', "auth_token = '%'"]) {
      const missed = Array.from({ length: 400 }, () => around.replace("%", draws.of(alphabet, length)))
        .filter((text) => sanitise(text).text !== around.replace("%", "<API_KEY>"));
      expect(missed.length).toBeLessThanOrEqual(20);
    }
  });
});
