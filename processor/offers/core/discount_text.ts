/** What an offer is where `DISCOUNT_TEXT` does not say. */
export const DISCOUNT_TEXT_DEFAULT = "20 % off your next month";
/** Longest `DISCOUNT_TEXT`, in characters. */
const DISCOUNT_TEXT_LENGTH_MAX = 200;

/** What the mail offers, without space around it; null where that is no single line of at most 200 characters. */
export function readDiscountText(text: string): string | null {
  const trimmed = text.trim();
  const isLine = trimmed.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(trimmed);
  return isLine && trimmed !== "" && [...trimmed].length <= DISCOUNT_TEXT_LENGTH_MAX ? trimmed : null;
}
