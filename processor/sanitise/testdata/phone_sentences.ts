import { drawer } from "./samples.ts";

/**
 * Sentences with telephone numbers in them and with other numbers, labelled, the same for the same seed: numbers of many
 * countries as people and forms write them, before, behind and without the words for them. Not of the rules' making: no
 * word list or shape is taken from them.
 */
export type Sentence = {
  readonly text: string;
  /** What of the text are telephone numbers. */
  readonly phones: readonly string[];
  /** `cued`: a word says so. `bare`: nothing does but the shape. `none`: no telephone number. */
  readonly kind: "cued" | "bare" | "none";
};

/** National forms (`#` any digit, `$` one from 2 to 9), then international ones. */
export const FORMS: Readonly<
  Record<string, { readonly home: readonly string[]; readonly abroad: readonly string[] }>
> = {
  us: {
    home: [
      "($##) $##-####",
      "$##-$##-####",
      "$##.$##.####",
      "($##)$##-####",
      "1-$##-$##-####",
      "$## $## ####",
    ],
    abroad: ["+1 $## $## ####", "+1-$##-$##-####", "+1 ($##) $##-####", "001-$##-$##-####", "+1$##$##-####"],
  },
  gb: {
    home: [
      "07### ######",
      "020 7### ####",
      "01### ######",
      "(0161) ### ####",
      "07### ### ###",
      "0161 ### ####",
    ],
    abroad: ["+44 7### ######", "+44 20 7### ####", "+44 (0)20 7### ####", "0044 7### ######"],
  },
  de: {
    home: [
      "030 ########",
      "0151 ########",
      "089/######",
      "(0221) ######",
      "0171-#######",
      "030 / ### ## ##",
      "0711 ##-## ##",
    ],
    abroad: ["+49 151 ########", "+49 (0)30 ######", "0049 30 #######", "+49-89-######"],
  },
  fr: {
    home: ["06 ## ## ## ##", "01.##.##.##.##", "07-##-##-##-##", "04 ## ## ## ##"],
    abroad: ["+33 6 ## ## ## ##", "+33 (0)1 ## ## ## ##", "0033 6 ## ## ## ##"],
  },
  es: {
    home: ["6## ### ###", "91 ### ## ##", "6## ## ## ##", "93-###-##-##"],
    abroad: ["+34 6## ### ###", "+34 91 ### ## ##"],
  },
  it: {
    home: ["3## #######", "06 ########", "02 ### ####", "3## ### ####"],
    abroad: ["+39 3## #######", "+39 06 ########"],
  },
  br: {
    home: ["(11) 9####-####", "(21) 3###-####", "11 9####-####"],
    abroad: ["+55 11 9####-####", "+55 (21) 3###-####"],
  },
  in: {
    home: ["98### #####", "022-########", "080 #### ####"],
    abroad: ["+91 98### #####", "+91-9#########"],
  },
  jp: {
    home: ["03-####-####", "090-####-####", "06-####-####"],
    abroad: ["+81 3-####-####", "+81-90-####-####"],
  },
  cn: { home: ["138 #### ####", "010-########", "139-####-####"], abroad: ["+86 138 #### ####"] },
  kr: { home: ["010-####-####", "02-###-####"], abroad: ["+82 10-####-####"] },
  ru: {
    home: ["8 (9##) ###-##-##", "8-9##-###-##-##", "(495) ###-##-##"],
    abroad: ["+7 9## ###-##-##", "+7 (495) ###-##-##"],
  },
  nl: {
    home: ["06-########", "020-#######", "06 ## ## ## ##"],
    abroad: ["+31 6 ########", "+31 20 ### ####"],
  },
  au: {
    home: ["04## ### ###", "(02) #### ####", "02 #### ####"],
    abroad: ["+61 4## ### ###", "+61 2 #### ####"],
  },
  se: { home: ["070-### ## ##", "08-### ### ##", "0703 ## ## ##"], abroad: ["+46 70 ### ## ##"] },
  pl: { home: ["6## ### ###", "22 ### ## ##"], abroad: ["+48 6## ### ###", "+48 22 ### ## ##"] },
};

/** What nobody's country writes, and people do all the same. */
const MIXED = [
  "0##-### ####.##",
  "+## ##.###-####",
  "0## ##.##-## ##",
  "(0##) ###.## ##",
  "+##-### ###.####",
  "0### ##-##.##",
  "+##.###-### ###",
  "00## ##-### ####",
  "0##.#### ####",
  "(0###)-##### ###",
  "+## ## ## ## ## ##",
  "0#-## ##.## ##",
];
const LOCAL = ["###-####", "### ####", "######", "#### ####", "## ## ##", "##-##-##", "###-##-##"];

/** `{}` is the number. Even ones are for tuning by, odd ones held out; likewise below. */
const BEFORE: readonly (readonly [languages: string, texts: readonly string[]])[] = [
  ["us gb au in", [
    "My phone number is {}, please use it.",
    "You can reach me at {} after 5 pm.",
    "Call {} for an appointment",
    "Text me on {} when you arrive.",
    "Tel: {}",
    "Phone - {}",
    "customer's mobile: {}",
    "She was not answering at {} all day",
    '{"name":"A. Roe","phone":"{}"}',
    "Please ring {} and ask for Jo",
    "Fax {}",
    "contact_number={}",
    "Main line: {}",
    "For help dial {}.",
    "Office: {}",
    "Toll-free: {}",
    "Home {}",
    "The switchboard is on {}.",
    "Emergency contact: {}",
    "Reception {}",
    "Contact: {}",
    "support line {} (24/7)",
    "I tried to get hold of him on {}",
    "WhatsApp {}",
    "leave a voicemail at {}",
    "Customer service: {}",
    "Cell # {}",
    "Direct: {}",
    "My new number: {}",
    "Please call us back under {}",
    "Hotline {}",
    "Contact Number: {}",
  ]],
  ["de", [
    "Meine Handynummer ist {}.",
    "Sie erreichen mich unter {}",
    "Tel. {}",
    "Bitte rufen Sie {} an",
    "Telefon: {}",
    "Rückruf bitte an {}",
    "Büro: {}",
    "Durchwahl {}",
    "Kontakt: {}",
    "Zentrale {}",
  ]],
  ["fr", [
    "Mon numéro est le {}",
    "Appelez-moi au {} ce soir",
    "Tél : {}",
    "joignable au {}",
    "Portable : {}",
    "Standard : {}",
    "Vous pouvez me contacter au {}",
    "Bureau : {}",
  ]],
  ["es", [
    "Mi teléfono es {}",
    "Llámame al {}",
    "Tfno: {}",
    "Móvil {}",
    "Contacto: {}",
    "Puede localizarme en el {}",
    "Oficina: {}",
    "Atención al cliente: {}",
  ]],
  ["it", ["Il mio numero è {}", "Chiamami al {}", "Cell. {}", "Tel: {}", "Ufficio: {}", "mi trovi al {}"]],
  ["br", [
    "Meu celular é {}",
    "Ligue para {}",
    "Fone: {}",
    "Contato: {}",
    "WhatsApp: {}",
    "falar com Ana no {}",
  ]],
  ["jp", ["電話番号は{}です", "TEL {}", "お問い合わせ: {}", "携帯 {}"]],
  ["cn", ["我的电话是{}", "手机：{}", "联系方式 {}", "请拨打{}"]],
  ["kr", ["전화번호: {}", "연락처 {}", "휴대폰은 {} 입니다", "문의 {}"]],
  ["ru", ["Мой телефон {}", "Звоните {}", "тел.: {}", "Связаться можно по {}", "моб. {}", "Контакты: {}"]],
  ["nl", ["Mijn nummer is {}", "Bel {}", "Telefoon: {}", "Bereikbaar op {}", "Mobiel {}", "Kantoor: {}"]],
  ["se", ["Mitt nummer är {}", "Ring {}", "Tel {}", "Nås på {}"]],
  ["pl", ["Mój numer to {}", "Zadzwoń pod {}", "tel. {}", "Kontakt: {}", "Biuro: {}", "dzwonić na {}"]],
];
const BEHIND = [
  "{} is my cell",
  "{} (mobile)",
  "{} - Office",
  "{} -Fax",
  "{} (home)",
  "{} [work]",
  "{} Fax",
  "{} / mobile",
  "{}, my direct line",
  "{} (cell), Jane",
  "J. Roe, {} (office)",
  "{} is the best number for me",
  "{} is the number to call",
  "{} (toll free)",
  "{} | Phone",
  "{} = reception",
  "{} (WhatsApp)",
  "{} (main)",
  "{} office line",
  "{} (Tel)",
];
const BARE = [
  "Jane Roe, 12 Main Street, {}",
  "- {}",
  "Jo <jo at home> {}",
  "Thanks,\nJane\n{}",
  "{} or the front door",
  "Bob {} and Eve",
  "row: Smith | {} | open",
  "Let us talk. {}",
  "{}",
  '"{}"',
  "Jane;Roe;{};NL",
  "Best regards\nA. Roe\nSales\n{}",
];
const NONE = [
  "Policy number ####-####-##",
  "policy no. ###-###-####",
  "account ##########",
  "Group number: ######",
  "NPI ##########",
  "MRN: #######",
  "MRN ###-##-##",
  "Order ###-#######-#######",
  "Invoice 20##-#######",
  "invoice no: ### ### ###",
  "Claim # ###-####-###",
  "2024-0$-1# 1#:2#:3#",
  "1#/0$/2023",
  "version 1#.0.#####.####",
  "v#.##.###",
  "$### x $###",
  "[2024-0$-11T1#:2#:##.###Z] request ########## took ### ms",
  "user_$########",
  "const OFFSET_$ = ##########;",
  "at 0$:2#:4#.### pid ##### tid #####",
  "ISBN 978-#-##-######-#",
  "serial ####-####-####",
  "tracking number 1Z########",
  "id=##########",
  "between $###### and $######",
  "costs $,###,###.## EUR",
  "1.$## million of $### ### people",
  "SELECT ########## FROM t",
  "pages ###-###",
  "ticket ###-####",
  "ticket #######",
  "case 2#-cv-#####",
  "lines ####-####",
  "error 0x########",
  "born 0$.1#.19##",
  "zip #####-####",
  "lat ##.######, lon -##.######",
  "Member ID ### ### ####",
  "member number: ##########",
  "reference ### ### ###",
  "PO ##########",
  "part no ###-####-##",
  "# ### ### rows",
  "timestamp 17########",
  "sha $#######",
  "port ####",
  "IBAN check ####",
  "batch ##-##-##-##",
  "Subscriber ID ###-##-####0",
  "employee #######",
  "scores ##-##, ##-##, ##-##",
  "0.####### 0.####### 0.#######",
  "call getUser(#######)",
  "text of #### words, #### lines",
  "flight LH ####",
  "Case Number ####-#####",
  "Rx ########",
  "room ####",
  "loan ##########",
  "confirmation code ######",
  "student id ########",
  "VIN ### ### ###",
  "record locator ######",
  "Prescription No. #######",
  "license ####-####",
  "meter reading ######",
  "reservation ### ### ####",
  "docket ##-####-##",
];

/** `half`: which templates are taken, those for tuning or those that were never looked at. */
export function phoneSentences(
  { seed, count, half }: {
    readonly seed: number;
    readonly count: number;
    readonly half: "tuning" | "held out";
  },
): readonly Sentence[] {
  const next = drawer(seed);
  const one = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!;
  const mine = <T>(of: readonly T[]): T => one(of.filter((_, i) => (i % 2 === 0) === (half === "tuning")));
  const digits = (form: string) =>
    form.replace(
      /[#$]/g,
      (sign) => String(sign === "#" ? Math.floor(next() * 10) : 2 + Math.floor(next() * 8)),
    );
  const countries = Object.keys(FORMS);
  const number = (country: string) => {
    const { home, abroad } = FORMS[country]!;
    const kind = next();
    return digits(
      kind < 0.55
        ? one(home)
        : kind < 0.85
        ? one(abroad)
        : kind < 0.95
        ? one(MIXED)
        : one(abroad).replace(/[ -]/g, "."),
    );
  };
  return Array.from({ length: count }, (): Sentence => {
    const kind = next();
    if (kind < 0.4) return { text: digits(mine(NONE)), phones: [], kind: "none" };
    const country = one(countries);
    if (kind < 0.72) {
      const [, texts] = one(
        BEFORE.filter(([countries]) => countries.includes(country) || countries.startsWith("us")),
      );
      const phone = next() < 0.1 && texts === BEFORE[0]![1] ? digits(one(LOCAL)) : number(country);
      return { text: mine(texts).replace("{}", phone), phones: [phone], kind: "cued" };
    }
    if (kind < 0.85) {
      const phone = next() < 0.15 ? digits(one(LOCAL)) : number(country);
      return { text: mine(BEHIND).replace("{}", phone), phones: [phone], kind: "cued" };
    }
    const phone = digits(one(next() < 0.6 ? FORMS[country]!.home : FORMS[country]!.abroad));
    return { text: mine(BARE).replace("{}", phone), phones: [phone], kind: "bare" };
  });
}
