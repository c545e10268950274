import { describe, expect, it } from "vitest";
import { isNobody } from "./nobody.ts";

const NOBODY = [
  ...["anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email", "undefined"],
  ...["true", "false", "Anonymous", "GUEST", "uNdEfInEd", '"distinct_id"', "'email'", '"Not_Authenticated"'],
  ...["[object Object]", "NaN", "None", "none", "null", "0", '"null"', "'[object Object]'"],
  ...["", " ", "  ", '""', " ".repeat(40)],
];
const SOMEBODY = [
  ...["ada", "user", "anonymous-7", "None-1", "00", "019ad56c-5168-7457-bac6-82981da45fb3"],
  ...["nan", "Nan", "NULL", "NONE", "[Object object]", '"nan"'],
  ...[" guest", "guest ", "\"guest'", '"guest', "“guest”", "'\"guest\"'"],
];

describe("isNobody()", () => {
  it.each(NOBODY)("holds for %j", (id) => expect(isNobody(id)).toBe(true));
  it.each(SOMEBODY)("does not hold for %j", (id) => expect(isNobody(id)).toBe(false));
});
