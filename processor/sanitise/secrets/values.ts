/**
 * What stands where a secret belongs and is none: references, templates, and words that say what to put there. Words
 * with figures behind them, `secret123`, are what people use.
 */
const BLANK =
  /^(?:[$%<{[(]|\*+$|[x•.]{3,}$|X{3,}$|…|@\{|(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token|api[_-]?key|key|user(?:name)?|none|null|nil|true|false|undefined|changeme|string|value|text|passe)$|(?:PASS(?:WORD|WD)?|Password|PWD|SECRET|TOKEN|API_KEY|KEY|USER)$)/;
const BLANK_PART =
  /your[_ -]?|(?:^|[_-])my[_-]|^(?:my|new|old|the|db|root|admin|user|some)_?-?(?:pass(?:word|wd)?|pwd|secret)$|placeholder|changeme|change-me|redacted|xxxx|\*{3,}|<[a-z_ -]+>|_here$|-here$|\.{3}|^process\.|^os\.|^env[.[]|^ENV\b|^\w+\.\w+\(|^-|^\/|^\\/i;
/** A name in capitals, `DB_PASSWORD`, stands for its value. */
const CONSTANT = /^[A-Z]+(?:_[A-Z]+)+$/;

/** Whether a value can be a secret where its place says so. */
export function isFilled(value: string): boolean {
  return value.length >= 3 && !BLANK.test(value) && !BLANK_PART.test(value) && !CONSTANT.test(value);
}
