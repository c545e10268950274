import examples from "libphonenumber-js/examples.mobile.json" with { type: "json" };
import { type CountryCode, getCountries, getExampleNumber } from "libphonenumber-js/max";
import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";

const P = "<PHONE_NUMBER>";

/** The word for a telephone number where people speak so; `Tel.:` elsewhere. */
const CUES: readonly (readonly [cue: string, countries: string])[] = [
  ["My phone number is ", "US CA GB AU NZ IE AG AI BB BM BS GD IN NG KE ZA GH PK"],
  ["Mi teléfono es ", "ES MX AR CO PE CL EC GT CU BO DO HN PY SV NI CR PA UY VE"],
  ["Telefone: ", "BR PT AO MZ CV GW ST"],
  ["téléphone : ", "FR BE CH SN CI ML BF NE TG BJ GA CG CM MG HT GP MQ RE GF YT NC PF"],
  ["Meine Handynummer: ", "DE AT LI LU"],
  ["Telefoonnummer: ", "NL SR"],
  ["Il mio cellulare è ", "IT SM VA"],
  ["Телефон: ", "RU BY KZ KG TJ BG MK RS"],
  ["Номер телефону ", "UA"],
  ["numer telefonu: ", "PL"],
  ["telefon: ", "CZ SK HU RO MD SI HR BA ME AL XK SE NO DK TR AZ UZ TM"],
  ["puhelin ", "FI AX"],
  ["Sími: ", "IS"],
  ["τηλέφωνο: ", "GR CY"],
  ["هاتف: ", "SA AE EG IQ JO LB KW QA BH OM YE SY LY TN DZ MA SD"],
  ["تلفن: ", "IR AF"],
  ["טלפון: ", "IL"],
  ["फ़ोन नंबर ", "NP"],
  ["ফোন ", "BD"],
  ["โทร ", "TH"],
  ["điện thoại ", "VN"],
  ["telepon ", "ID"],
  ["nombor telefon ", "MY BN SG"],
  ["電話 ", "JP TW HK MO"],
  ["电话：", "CN"],
  ["전화번호 ", "KR KP"],
  ["simu ", "TZ UG"],
  ["հեռ. ", "AM"],
  ["ტელ. ", "GE"],
  ["утас ", "MN"],
  ["ស្លាកលេខទូរស័ព្ទ ", "KH"],
  ["ໂທ ", "LA"],
  ["ဖုန်း ", "MM"],
  ["දුරකථන ", "LK"],
  ["ስልክ ", "ET ER"],
];

function cueOf(country: CountryCode): string {
  return CUES.find(([, countries]) => countries.split(" ").includes(country))?.[0] ?? "Tel.: ";
}

const numbers = getCountries().map((country) => ({ country, number: getExampleNumber(country, examples)! }));

describe("telephone numbers of every country", () => {
  test("are found where they are written with their calling code", () => {
    const missed = numbers.filter(({ number }) =>
      [number.formatInternational(), number.number].some((written) =>
        sanitise(`ask ${written} today`).text !== `ask ${P} today`
      )
    );
    expect(numbers.length).toBeGreaterThanOrEqual(240);
    expect(missed.map(({ country }) => country)).toEqual([]);
  });

  test("are found as people write them at home, after the word for it in their language", () => {
    const missed = numbers.filter(({ country, number }) => {
      const cue = cueOf(country);
      return sanitise(`${cue}${number.formatNational()}.`).text !== `${cue}${P}.`;
    });
    expect(missed.map(({ country }) => country)).toEqual([]);
  });
});

describe("numbers that only look like telephone numbers", () =>
  test.each([
    "order 4155550132 shipped",
    "tracking number 1234567890",
    "id: 0612345678",
    "version 10.0.19045.3803",
    "between 1000000 and 2000000 users",
    "The population was 3074185296 in 2019-2020",
    "call me on 2024-05-12 at 10:30",
    "phone costs 1234567 USD",
    "It weighs 0123 456 789 kg",
    "const a = [415, 555, 1320, 2024];",
    "02 03 2024 10:30",
    "<Buffer 01 02 03 04 05>",
    "M0.5 12.25 415.555 0.132",
    "user_id=4155550132&page=2",
    "iPhone 15 4155550132",
    "1755302400123",
  ])("%s", (text) => expect(sanitise(text).text).toBe(text)));
