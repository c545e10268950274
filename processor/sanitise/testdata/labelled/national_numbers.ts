import type { PersonEntity } from "../../persons/kinds.ts";
import type { Draws } from "./draws.ts";

/**
 * Valid numbers that states give their people, by the states' own definitions; nothing is taken from the rules, so that
 * a wrong check digit there would show.
 */
export const NATIONAL_NUMBERS: Readonly<Record<PersonEntity, (draws: Draws) => string>> = {
  UK_NHS: (d) => {
    const n = checked(d.digits(9), d, (of) => 11 - weighed(of, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11, 11);
    return d.one([n, `${n.slice(0, 3)} ${n.slice(3, 6)} ${n.slice(6)}`]);
  },
  UK_NINO: (d) => {
    const [a, b, c] = [d.digits(2), d.digits(2), d.digits(2)];
    const prefix = d.one(["AB", "CE", "JK", "SP", "WM", "YA", "EH", "LX"]);
    return d.one([`${prefix}${a}${b}${c}`, `${prefix} ${a} ${b} ${c} `]) + d.one([..."ABCD"]);
  },
  ES_NIF: (d) => {
    const n = d.one(["1", "2", "3", "4", "5", "7"]) + d.digits(7);
    return `${n}${d.one(["", "", "-"])}${DNI[Number(n) % 23]}`;
  },
  ES_NIE: (d) => {
    const first = d.below(3), n = d.digits(7);
    return `${"XYZ"[first]}${d.one(["", "-"])}${n}${d.one(["", "-"])}${DNI[Number(`${first}${n}`) % 23]}`;
  },
  IT_FISCAL_CODE: (d) => {
    const body = `${d.of("BCDFGLMNPRST", 6)}${40 + d.below(59)}${d.one([..."ABCDEHLMPRST"])}` +
      `${String(1 + d.below(28)).padStart(2, "0")}${d.one(["F205", "H501", "L219", "A944", "D612"])}`;
    const sum = [...body].reduce((sum, sign, i) => {
      const value = /\d/.test(sign) ? Number(sign) : sign.charCodeAt(0) - 65;
      return sum + (i % 2 === 0 ? ODD[value]! : value);
    }, 0);
    return body + String.fromCharCode(65 + sum % 26);
  },
  FR_NIR: (d) => {
    const n = `${1 + d.below(2)}${d.two(30, 99)}${d.two(1, 12)}${d.two(10, 19)}${d.digits(3)}${d.digits(3)}`;
    const check = String(97 - Number(n) % 97).padStart(2, "0");
    return d.one([n + check, n.replace(/^(.)(..)(..)(..)(...)(...)$/, "$1 $2 $3 $4 $5 $6 ") + check]);
  },
  DE_TAX_ID: (d) => {
    for (;;) {
      const signs = d.shuffled([..."0123456789"]).slice(0, 9);
      const body = d.shuffled([...signs, signs[0]!]).join("");
      if (body[0] === "0") continue;
      let product = 10;
      for (const digit of body) product = (((Number(digit) + product) % 10 || 10) * 2) % 11;
      const n = body + (11 - product) % 10;
      return d.one([n, n.replace(/^(..)(...)(...)(...)$/, "$1 $2 $3 $4")]);
    }
  },
  NL_BSN: (d) => checked(`1${d.digits(7)}`, d, (of) => weighed(of, [9, 8, 7, 6, 5, 4, 3, 2]) % 11),
  SE_PERSONNUMMER: (d) => {
    const day = d.two(45, 99) + d.two(1, 12) + d.two(1, 28);
    const n = checked(day + d.digits(3), d, luhn);
    return `${d.one(["", "19"])}${n.slice(0, 6)}-${n.slice(6)}`;
  },
  PL_PESEL: (d) =>
    checked(
      d.two(45, 99) + d.two(1, 12) + d.two(1, 28) + d.digits(4),
      d,
      (of) => (10 - weighed(of, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10,
    ),
  BR_CPF: (d) => {
    const n = twice(d.digits(9), (of) => [...of].map((_, i) => of.length + 1 - i));
    return d.one([n, n.replace(/^(...)(...)(...)(..)$/, "$1.$2.$3-$4")]);
  },
  BR_CNPJ: (d) => {
    const n = twice(d.digits(8) + "0001", (of) => [...of].map((_, i) => (of.length - 1 - i) % 8 + 2));
    return d.one([n, n.replace(/^(..)(...)(...)(....)(..)$/, "$1.$2.$3/$4-$5")]);
  },
  IN_AADHAAR: (d) => {
    const body = String(2 + d.below(8)) + d.digits(10);
    const check = [..."0123456789"].find((digit) => verhoeff(body + digit) === 0)!;
    return d.one([body + check, (body + check).replace(/^(....)(....)(....)$/, "$1 $2 $3")]);
  },
  IN_PAN: (d) => `${d.of(CAPITALS, 3)}P${d.of(CAPITALS, 1)}${d.digits(4)}${d.of(CAPITALS, 1)}`,
  AU_TFN: (d) => {
    const n = passing(d, (of) => weighed(of, [1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 === 0, 9);
    return d.one([n, n.replace(/^(...)(...)(...)$/, "$1 $2 $3")]);
  },
  AU_MEDICARE: (d) => {
    const n = checked(
      String(2 + d.below(5)) + d.digits(7),
      d,
      (of) => weighed(of, [1, 3, 7, 9, 1, 3, 7, 9]) % 10,
    );
    return d.one([`${n}1`, `${n}1`.replace(/^(....)(.....)(.)$/, "$1 $2 $3")]);
  },
  CA_SIN: (d) => {
    const n = checked(String(1 + d.below(7)) + d.digits(7), d, luhn);
    return d.one([n, n.replace(/^(...)(...)(...)$/, d.one(["$1 $2 $3", "$1-$2-$3"]))]);
  },
  SG_NRIC_FIN: (d) => {
    const first = d.one([..."STFG"]), n = d.digits(7);
    const sum = weighed(n, [2, 7, 6, 5, 4, 3, 2]) + (/[TG]/.test(first) ? 4 : 0);
    return first + n + (/[ST]/.test(first) ? "JZIHGFEDCBA" : "XWUTRQPNMLK")[sum % 11];
  },
  KR_RRN: (d) => {
    const n = checked(
      d.two(50, 99) + d.two(1, 12) + d.two(1, 28) + d.one(["1", "2"]) + d.digits(5),
      d,
      (of) => (11 - weighed(of, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10,
    );
    return `${n.slice(0, 6)}-${n.slice(6)}`;
  },
  CN_RESIDENT_ID: (d) => {
    const n = d.one(["110105", "310101", "440305", "330106"]) +
      `19${d.two(50, 99)}${d.two(1, 12)}${d.two(1, 28)}${d.digits(3)}`;
    return n + "10X98765432"[weighed(n, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11];
  },
};

const CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DNI = "TRWAGMYFPDXBNJZSQVHLCKE";
/** What a character at an odd place counts in a codice fiscale, for digits and letters alike. */
const ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

const weighed = (digits: string, weights: readonly number[]) =>
  weights.reduce((sum, weight, i) => sum + weight * Number(digits[i]), 0);

/** Appends the check digit; where there is none of one digit, of other digits. `zero`: what stands for 0. */
function checked(body: string, draws: Draws, check: (body: string) => number, zero = -1): string {
  for (;;) {
    const digit = check(body);
    if (digit === zero) return `${body}0`;
    if (digit < 10) return `${body}${digit}`;
    body = body.slice(0, -3) + draws.digits(3);
  }
}

function passing(draws: Draws, isRight: (digits: string) => boolean, length: number): string {
  for (;;) {
    const digits = String(1 + draws.below(9)) + draws.digits(length - 1);
    if (isRight(digits)) return digits;
  }
}

/** The check digit that Luhn's sum asks for. */
export function luhn(body: string): number {
  const sum = [...body].reverse().reduce((sum, digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 2 : 1);
    return sum + (value > 9 ? value - 9 : value);
  }, 0);
  return (10 - sum % 10) % 10;
}

function twice(body: string, weightsOf: (body: string) => number[]): string {
  for (let round = 0; round < 2; round++) {
    const rest = weighed(body, weightsOf(body)) % 11;
    body += rest < 2 ? 0 : 11 - rest;
  }
  return body;
}

/** Verhoeff's sum, by the group of the pentagon; 0 where the last digit is right. */
function verhoeff(digits: string): number {
  const turn = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
  return [...digits].reverse().reduce((sum, sign, i) => {
    let value = Number(sign);
    for (let times = i % 8; times > 0; times--) value = turn[value]!;
    if (sum < 5) return value < 5 ? (sum + value) % 5 : 5 + (sum + value - 5) % 5;
    return value < 5 ? 5 + (sum - 5 - value + 5) % 5 : (sum - value + 5) % 5;
  }, 0);
}
