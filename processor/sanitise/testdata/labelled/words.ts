import type { Entity } from "../../mod.ts";

/**
 * How people bring a value up: in a sentence (`{}` is the value), and as the name of a field, `words with spaces`. Even
 * ones are for tuning rules by, odd ones are held out. Written as people write, not from the rules' lists of words.
 */
type Words = { readonly said: readonly string[]; readonly fields: readonly string[] };

const PHONE_FIELDS = ["phone", "mobile", "phone number", "contact phone", "tel", "mobile no"];

export const WORDS: Readonly<Record<Entity, Words>> = {
  EMAIL_ADDRESS: {
    said: [
      "Please copy {} on the reply.",
      "I never got the mail you sent to {}, could you resend it?",
      "Account {} is locked out again",
      "schreib mir an {} wenn es klappt",
      "From: {}",
      "the invite for {} bounced twice",
    ],
    fields: ["email", "user", "customer email", "reply to", "owner", "login"],
  },
  PHONE_NUMBER: {
    said: [
      "You can call me on {} after lunch.",
      "my phone is {}, text if you are late",
      "Phone: {}",
      "Please ring {} before delivery",
      "Rückfragen bitte telefonisch unter {}",
      "mobile {} (evenings)",
    ],
    fields: PHONE_FIELDS,
  },
  CREDIT_CARD: {
    said: [
      "They charged my card {} twice this month.",
      "paid with {} exp 09/27",
      "Visa {} was declined at checkout",
      "card number {} cvv 123, why does this fail?",
      "Please refund to {}.",
      "meine Kreditkarte {} wurde abgelehnt",
    ],
    fields: ["card number", "pan", "card", "payment card", "cc", "credit card"],
  },
  IBAN_CODE: {
    said: [
      "Please transfer the refund to {}.",
      "IBAN {} is refused by the form",
      "Kontoverbindung: {}",
      "I sent the rent to {} yesterday",
      "our account is {} at the Sparkasse",
      "virement sur le compte {} svp",
    ],
    fields: ["iban", "account iban", "bank account", "creditor iban", "payout account", "iban code"],
  },
  US_SSN: {
    said: [
      "My social is {} and I was born in 1984.",
      "SSN {} does not match our records",
      "social security number: {}",
      "The applicant gave {} as ssn",
      "employee {} needs a new W-2",
      "verify SSN {} for payroll",
    ],
    fields: ["ssn", "social security number", "applicant ssn", "employee ssn", "taxpayer ssn", "ss number"],
  },
  US_ITIN: {
    said: [
      "My ITIN is {}.",
      "I applied with ITIN {} last year",
      "taxpayer identification number {}",
      "ITIN: {} was rejected by the form",
      "spouse's itin {}",
      "the W-7 gave me {} as my ITIN",
    ],
    fields: ["itin", "taxpayer itin", "spouse itin", "itin number", "tax itin", "applicant itin"],
  },
  IP_ADDRESS: {
    said: [
      "Requests from {} time out.",
      "failed login from {} port 52144 ssh2",
      "I blocked {} in the firewall",
      "my server {} is not reachable",
      "ping {} gives 40 % loss",
      "traceroute to {} stops at hop 7",
    ],
    fields: ["ip", "client ip", "remote addr", "source ip", "host", "peer address"],
  },
  MAC_ADDRESS: {
    said: [
      "The printer has {} on its label.",
      "whitelist {} on the wifi",
      "DHCPACK to {} via eth0",
      "device {} keeps reconnecting",
      "link/ether {} brd ff:ff:ff:ff:ff:ff",
      "which vendor is {}?",
    ],
    fields: ["mac", "device mac", "hw addr", "mac address", "bssid", "ethernet address"],
  },
  CRYPTO: {
    said: [
      "Send it to {} please.",
      "my wallet is {}",
      "the transaction to {} is stuck",
      "withdrawal address {}",
      "I was scammed by {}, can you trace it?",
      "donations: {}",
    ],
    fields: ["wallet", "deposit address", "to", "recipient", "btc address", "payout address"],
  },
  API_KEY: {
    said: [
      "I use the API key {} and get a 401.",
      "my access token is {} but the call fails",
      "secret key: {}",
      "Authorization: Bearer {}",
      "curl -H 'X-Api-Key: {}' https://api.example.com/v1/me",
      "https://api.example.com/v1/me?api_key={}&page=2",
    ],
    fields: ["api key", "access token", "client secret", "auth token", "secret key", "service api key"],
  },
  JWT: {
    said: [
      "Decode {} for me.",
      "the session token is {} and it expired",
      "Authorization: Bearer {}",
      "why is {} invalid?",
      "https://app.example.com/cb?id_token={}&state=1",
      "curl -H 'Authorization: Bearer {}' localhost:3000",
    ],
    fields: ["token", "id token", "access token", "jwt", "session", "bearer"],
  },
  PRIVATE_KEY: {
    said: [
      "ssh says invalid format:\n{}\nwhat is wrong?",
      "Here is my key\n\n{}\n\nThanks",
      "cat server.key\n{}",
      "I get 'bad decrypt' with this file:\n{}",
      "{}",
      "Put this into ~/.ssh/id_rsa:\n{}\nthen chmod 600",
    ],
    fields: [],
  },
  PASSWORD: {
    said: [
      "My password is {} and it says wrong credentials.",
      "login admin, password: {}",
      "Das Passwort lautet: {}",
      "mysql -u root -p{} shop fails with access denied",
      "postgres://app:{}@db.internal:5432/shop refuses connections",
      "pwd: {}",
    ],
    fields: ["password", "db password", "smtp pass", "admin password", "passwd", "redis password"],
  },
  US_PASSPORT: {
    said: [
      "My passport number is {}.",
      "passport no. {} expires in May",
      "Passport: {}",
      "US passport {} was reported lost",
      "She holds passport {} issued in Houston",
      "the visa form rejects passport number {}",
    ],
    fields: ["passport", "passport number", "passport no", "us passport", "traveler passport", "passport id"],
  },
  US_DRIVER_LICENSE: {
    said: [
      "My driver's license number is {}.",
      "driver license {} issued in Ohio",
      "Driver's License: {}",
      "DL {} expired last week",
      "license number {} is what the DMV gave me",
      "driving licence no. {} on file",
    ],
    fields: ["driver license", "drivers license", "dl number", "driver license number", "license no", "dl"],
  },
  US_BANK_NUMBER: {
    said: [
      "My bank account number is {}.",
      "checking account {} at Chase",
      "account number: {} routing to follow",
      "Wire it to account {} please",
      "savings account no. {} was closed",
      "direct deposit goes to bank account {}",
    ],
    fields: [
      "account number",
      "bank account",
      "bank account number",
      "acct no",
      "checking account",
      "account no",
    ],
  },
  PERSON: {
    said: [
      "Hello, my name is {} and I cannot log in.",
      "Hi! My name's {}, I bought the plan last week.",
      "Guten Tag, ich heiße {} und habe eine Frage.",
      "Bonjour, je m'appelle {}, je suis cliente.",
      "hola, me llamo {} y no puedo entrar",
      "Mi chiamo {} e ho un problema.",
    ],
    fields: [],
  },
  UK_NHS: national("NHS number", "NHS no", "nhs number", "patient nhs"),
  UK_NINO: national("National Insurance number", "NI number", "nino", "ni number"),
  ES_NIF: national("DNI", "documento de identidad", "dni", "nif"),
  ES_NIE: national("NIE", "número de extranjero", "nie", "numero nie"),
  IT_FISCAL_CODE: national("codice fiscale", "C.F.", "codice fiscale", "cf"),
  FR_NIR: national("numéro de sécurité sociale", "NIR", "numero secu", "nir"),
  DE_TAX_ID: national(
    "Steuer-ID",
    "steuerliche Identifikationsnummer",
    "steuer id",
    "steueridentifikationsnummer",
  ),
  NL_BSN: national("BSN", "burgerservicenummer", "bsn", "bsn nummer"),
  SE_PERSONNUMMER: national("personnummer", "personal identity number", "personnummer", "person nr"),
  PL_PESEL: national("PESEL", "numer PESEL", "pesel", "pesel nr"),
  BR_CPF: national("CPF", "cadastro de pessoa física", "cpf", "cpf cliente"),
  BR_CNPJ: national("CNPJ", "CNPJ da empresa", "cnpj", "cnpj emitente"),
  IN_AADHAAR: national("Aadhaar number", "aadhaar", "aadhaar", "aadhaar no"),
  IN_PAN: national("PAN", "PAN card number", "pan number", "pan card"),
  AU_TFN: national("TFN", "tax file number", "tfn", "tax file number"),
  AU_MEDICARE: national("Medicare number", "Medicare card", "medicare number", "medicare"),
  CA_SIN: national("SIN", "social insurance number", "sin", "sin number"),
  SG_NRIC_FIN: national("NRIC", "FIN", "nric", "nric fin"),
  KR_RRN: national("주민등록번호", "resident registration number", "rrn", "resident registration no"),
  CN_RESIDENT_ID: national("身份证号", "resident ID", "id card", "resident id number"),
};

function national(name: string, other: string, field: string, field2: string): Words {
  return {
    said: [
      `My ${name} is {}, please update it.`,
      `${other}: {}`,
      `${name} {} is refused by the form`,
      `Customer sent ${other} {} with the form.`,
      `The form wants my ${other}; I typed {}`,
      `${name} no. {}`,
    ],
    fields: [field, field2],
  };
}

/** Where a field stands: `{field}` its name as this place writes names, `{}` its value. */
export const PLACES: Readonly<
  Record<string, { readonly name: (field: string) => string; readonly text: string }>
> = {
  ticket: {
    name: (field) => field[0]!.toUpperCase() + field.slice(1),
    text:
      "Ticket #{n} opened {date}\nPriority: P2\n{field}: {}\nSteps: open the page, press save, see error 500",
  },
  chat: { name: (field) => field, text: "[{time}] dana: any luck?\n[{time}] sam: yes, {field} {} works now" },
  log: { name: snake, text: "{date}T{time}Z INFO api req={uuid} {field}={} status=200 took=38ms" },
  code: { name: camel, text: 'const {field} = "{}";\nif (retries > 3) throw new Error("gave up");' },
  python: { name: snake, text: "import requests\n\n{field} = '{}'\nr = requests.get(url, timeout=30)" },
  config: {
    name: (field) => snake(field).toUpperCase(),
    text: "LOG_LEVEL=debug\nPORT=8080\n{field}={}\nRETRIES=3",
  },
  table: {
    name: (field) => field[0]!.toUpperCase() + field.slice(1),
    text: "| Field | Value |\n| --- | --- |\n| Order | {n} |\n| {field} | {} |",
  },
  csv: { name: snake, text: "id,{field},created\n{n},{},{date}" },
  JSON: {
    name: snake,
    text: '{"id": {n}, "{field}": "{}", "createdAt": "{date}T{time}Z", "tags": ["a", "b"]}',
  },
  yaml: {
    name: snake,
    text: "version: 1.4.2\nservice:\n  replicas: 3\n  {field}: {}\n  image: app@sha256:{sha}",
  },
};

export function snake(field: string): string {
  return field.replaceAll(" ", "_");
}

function camel(field: string): string {
  return field.replaceAll(/ (.)/g, (_, first: string) => first.toUpperCase());
}
