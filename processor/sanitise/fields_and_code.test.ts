import { describe, expect, test } from "vitest";
import { sanitise } from "./mod.ts";

/** Rows found by the generated texts of testdata/labelled/, and by the source code of packages. */
describe("a value is found by the name of its field, however the name is written", () =>
  test.each([
    ["license_no: 43063814", "license_no: <US_DRIVER_LICENSE>"],
    ['{"license_no": "53764123", "state": "OH"}', '{"license_no": "<US_DRIVER_LICENSE>", "state": "OH"}'],
    ["DL_NUMBER=24951693", "DL_NUMBER=<US_DRIVER_LICENSE>"],
    ["| License no | 74522330 |", "| License no | <US_DRIVER_LICENSE> |"],
    ["passport_no=928690505 status=200", "passport_no=<US_PASSPORT> status=200"],
    ["| Passport | 657526565 |", "| Passport | <US_PASSPORT> |"],
    ['const travelerPassport = "254231776";', 'const travelerPassport = "<US_PASSPORT>";'],
    ["account_number: 923006777", "account_number: <US_BANK_NUMBER>"],
    ["bank_account_number=304407407633 ok", "bank_account_number=<US_BANK_NUMBER> ok"],
    ['const bankAccountNumber = "99340370776";', 'const bankAccountNumber = "<US_BANK_NUMBER>";'],
    ["| Checking account | 44641935157 |", "| Checking account | <US_BANK_NUMBER> |"],
    ["tax_itin = '931-81-6198'", "tax_itin = '<US_ITIN>'"],
    ['const taxItin = "945-72-5839";', 'const taxItin = "<US_ITIN>";'],
    ["BTC_ADDRESS=12F8RgdX328mxHAoYLPqFCiB14C4psVcyC", "BTC_ADDRESS=<CRYPTO>"],
    ["to=1NtAr9s762JhAnHLTCNmNmKW5rTnCfwEGx ok", "to=<CRYPTO> ok"],
    ["id,pesel,created\n4318,85042415579,2025-09-24", "id,pesel,created\n4318,<PL_PESEL>,2025-09-24"],
    ["id,nhs_number\n6000838,498 848 7563", "id,nhs_number\n6000838,<UK_NHS>"],
    ["id,phone,created\n3061825,+86 138 1617 6743,x", "id,phone,created\n3061825,<PHONE_NUMBER>,x"],
    ["id,tel,created\n7667008,93-467-64-66,2023-11-01", "id,tel,created\n7667008,<PHONE_NUMBER>,2023-11-01"],
    [
      "My password is dragon_a3gcd4 and it says no",
      "My password is <PASSWORD> and it says no",
    ],
    ["Das Passwort lautet: 4DBtX0PY6uQnnvyc", "Das Passwort lautet: <PASSWORD>"],
    ["  password: Tiger_8mm5kq", "  password: <PASSWORD>"],
    ["My password is tvRk-xhkw-GOuL and it fails", "My password is <PASSWORD> and it fails"],
    ["I use the API key tWisc8okBREVUwNXf2Gc and get a 401.", "I use the API key <API_KEY> and get a 401."],
  ])("%s", (text, expected) => {
    expect(sanitise(text).text).toBe(expected);
    expect(sanitise(expected).text).toBe(expected);
  }));

describe("programs, tables of numbers and protocols stay as they are", () =>
  test.each([
    "export function pbkdf2Sync(password: Uint8Array, salt: Uint8Array): string {",
    "async encrypt(password: BytesLike | string, progress?: Callback): Promise<string> {",
    "    userNameRealmPasswordDigest: ByteArray",
    "fn open(szusername : *const u16, szpassword : *const u16) -> i32;",
    "pub const LOCKOUT: DOMAIN_PASSWORD_PROPERTIES = 8u32;",
    "pub const IE_BroadbandBearerCapability: Q2931_IE_TYPE = 2i32;",
    "pub const MQMSG_AUTH_LEVEL_ALWAYS: MQMSGAUTHLEVEL = 1i32;",
    "  csrfToken: reqCsrfToken,\n  isPost,",
    "chachaKeys.init(tls.TLS_CHACHA20_POLY1305_SHA256, secret)",
    "def test_LinearVectorFunctionNoReferenceCycle():",
    'Alternatively, you can pass "inline=False" to use if-else.',
    "#  anonymous and the +options+[:password] is +nil+,",
    "pass = proxy_uri&.password",
    "removed pw since if pw->skip!=null, pw has the same",
    'String BEGIN = "-----BEGIN PRIVATE KEY-----\\n".getBytes(US_ASCII);\nString END = "\\n-----END PRIVATE KEY-----\\n";',
    "`-----BEGIN PRIVATE KEY-----\\n${key.toString('base64')}\\n-----END PRIVATE KEY-----`",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "electron-muon magn. moment ratio    206.766 9894    0.000 0054",
    "atomic unit of polarizability    1.648 777 2536 e-41",
    "as explained in [1]_, p.536-537.",
    "// 13.2.5.43 Comment start state. See also 13.2.5.52",
    '"accountId": 10000001,',
    "account_id: 10000001",
    'ToDouble("9.e-265"), ldexp(8168427841980010, -930)',
    '"order_id": "3000023150003503"',
    "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com",
    "HostKeyAlgorithms rsa-sha2-512-cert-v01@openssh.com",
    "KexAlgorithms curve25519-sha256@libssh.org",
    "b'Kum@tLarLevaL.MaM.ntMluv'",
    '"baseTokenAddr": "x9k2mQ7LpR4tVb8Zc"',
    "total 1,234,567,890 of 12,345,678",
  ])("%s", (text) => expect(sanitise(text).text).toBe(text)));
