import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";

/** What is in brackets is the number; the text after is with the placeholder in its place. */
function found(entity: string, texts: readonly string[]): void {
  test.each(texts)(`${entity}: %s`, (text) => {
    const [input, output] = [text.replace(/[⟦⟧]/g, ""), text.replace(/⟦[^⟧]*⟧/g, `<${entity}>`)];
    expect(sanitise(input).text).toBe(output);
  });
}

describe("numbers that states give their people", () => {
  found("UK_NHS", [
    "NHS number: ⟦943 476 5919⟧, please check the referral",
    "patient (NHS no. ⟦9434765919⟧) did not attend",
    '{"nhs_number": "⟦943-476-5919⟧", "clinic": 4}',
    "nhsNumber=⟦4010232137⟧&page=2",
    "⟦943 476 5919⟧ is her NHS number",
  ]);
  found("UK_NINO", [
    "NI number ⟦AB 12 34 56 C⟧",
    "National Insurance: ⟦AB123456C⟧.",
    "my nino is ⟦ab123456c⟧",
    "payroll;NINO;⟦JG 10 37 59 A⟧;2024",
    "employee (NINO ⟦CE-12-34-56-B⟧) left in May",
  ]);
  found("ES_NIF", [
    "Mi DNI es ⟦12345678Z⟧",
    "NIF: ⟦12.345.678-Z⟧",
    "factura a nombre de ⟦00000014Z⟧, gracias",
    "dni ⟦12345678z⟧",
    "<td>⟦12345678-Z⟧</td>",
  ]);
  found("ES_NIE", ["NIE ⟦X1234567L⟧", "con número ⟦Y-1234567-X⟧ en vigor", "nie: ⟦z1234567r⟧"]);
  found("IT_FISCAL_CODE", [
    "Codice fiscale: ⟦RSSMRA85T10A562S⟧",
    "il cliente ⟦RSSMRA85T10A562S⟧ ha chiesto un rimborso",
    "c.f. ⟦rssmra85t10a562s⟧",
    "codice fiscale ⟦RSS MRA 85T10 A562S⟧",
  ]);
  found("FR_NIR", [
    "numéro de sécurité sociale : ⟦2 55 08 14 168 025 38⟧",
    "sécu ⟦255081416802538⟧",
    "NIR=⟦2550814168025 38⟧",
    "l'assurée ⟦2 55 08 14 168 025 38⟧ est à jour",
  ]);
  found("DE_TAX_ID", [
    "Steuer-ID: ⟦86 095 742 719⟧",
    "Meine Steueridentifikationsnummer lautet ⟦86095742719⟧.",
    "IdNr. ⟦47036892816⟧",
    '"steuerId":"⟦86095742719⟧"',
  ]);
  found("NL_BSN", [
    "BSN ⟦111222333⟧",
    "mijn burgerservicenummer is ⟦123456782⟧",
    "bsn: ⟦1234.56.782⟧",
  ]);
  found("SE_PERSONNUMMER", [
    "personnummer ⟦811228-9874⟧",
    "Personnr: ⟦19811228-9874⟧",
    "kunden ⟦19640823-3234⟧ ringde",
    "pnr ⟦196408233234⟧",
  ]);
  found("PL_PESEL", ["PESEL: ⟦44051401359⟧", "pesel=⟦44051401359⟧;", "numer ⟦44051401359⟧ (PESEL)"]);
  found("BR_CPF", [
    "CPF ⟦111.444.777-35⟧",
    "cliente ⟦111.444.777-35⟧ pediu reembolso",
    "meu cpf é ⟦11144477735⟧",
    '{"cpf":"⟦11144477735⟧"}',
  ]);
  found("BR_CNPJ", ["⟦11.222.333/0001-81⟧", "CNPJ: ⟦11222333000181⟧"]);
  found("IN_AADHAAR", [
    "Aadhaar number ⟦2341 2341 2346⟧",
    "aadhaar_no: ⟦234123412346⟧",
    "my adhaar is ⟦2341-2341-2346⟧",
    "आधार ⟦2341 2341 2346⟧",
  ]);
  found("IN_PAN", ["PAN: ⟦ABCPE1234F⟧", "pan card no ⟦ABCPE1234F⟧", "Permanent Account Number ⟦AAAPL1234C⟧"]);
  found("AU_TFN", ["TFN ⟦123 456 782⟧", "my tax file number is ⟦123456782⟧"]);
  found("AU_MEDICARE", ["Medicare card ⟦2123 45670 1⟧", "medicare no: ⟦2123456701⟧"]);
  found("CA_SIN", [
    "SIN: ⟦046 454 286⟧",
    "Social Insurance Number ⟦046-454-286⟧",
    "numéro d'assurance sociale ⟦046454286⟧",
  ]);
  found("SG_NRIC_FIN", ["NRIC ⟦S1234567D⟧", "visitor ⟦S1234567D⟧ signed in", "fin: ⟦f1234567n⟧"]);
  found("KR_RRN", ["주민등록번호 ⟦850101-1234566⟧", "주민번호: ⟦8501011234566⟧", "⟦850101-1234566⟧ 확인"]);
  found("CN_RESIDENT_ID", [
    "身份证号⟦11010519491231002X⟧",
    "我的身份證是⟦11010519491231002x⟧。",
    "row 7: ⟦11010519491231002X⟧ | ok",
    "id=⟦110105194912310046⟧",
  ]);
});

describe("numbers that are none of them", () =>
  test.each([
    "NHS number 943 476 5918 is wrong",
    "the NHS spends 180,000,000,000 a year",
    "build 9434765919",
    "part number AB123456C",
    "order no. AB123456C was shipped",
    "SKU: AB123456A",
    "QQ123456C is a made-up one",
    "BG123456A",
    "12345678A",
    "20240512Z",
    "at 20240503T we meet",
    "commit 12345678e",
    "X1234567A",
    "RSSMRA85T10A562T",
    "ABCDEFGH12345678",
    "255081416802538",
    "2 55 08 14 168 025 39",
    "86095742719",
    "Steuer-ID 86095742718",
    "111222333",
    "BSN 111222334",
    "811228-9874",
    "backup-20241130-0917.tar",
    "19811332-9874",
    "44051401359",
    "pesel 44051401358",
    "111.444.777-36",
    "11144477735",
    "222.222.222-22",
    "11.222.333/0001-82",
    "2341 2341 2346",
    "Aadhaar 2341 2341 2347",
    "1000 2000 3000 4000 5000",
    "const ABCPE1234F = 1;",
    "PAN ABCDE1234F",
    "123 456 782",
    "TFN 123 456 783",
    "SIN 046 454 287",
    "sin 0.5 and cos 1.5",
    "S1234567A",
    "850101-1234567",
    "110105194912310020",
    "19491231002X",
    "id 11010519491331002X",
    "1755302400123456",
    "pan 45 degrees, tilt 30",
  ])("%s", (text) => expect(sanitise(text).text).toBe(text)));

test("fewer than one of 10,000 runs of random digits is taken for a person's number without a word", () => {
  let state = 7;
  const draw = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  let taken = 0;
  for (let n = 0; n < 20_000; n++) {
    const digits = Array.from({ length: 8 + n % 11 }, () => Math.floor(draw() * 10)).join("");
    const spans = sanitise(`value ${digits} end`).spans;
    if (spans.some(({ entity }) => /^[A-Z]{2}_/.test(entity))) taken++;
  }
  expect(taken).toBeLessThan(2);
});
