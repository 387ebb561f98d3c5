/** Bounds of a text field, in characters (code points). */
export interface TextRule {
  readonly min?: number;
  readonly max: number;
  /** The whole text must match, and `form` says how in words. */
  readonly pattern?: RegExp;
  readonly form?: string;
}

/** What is wrong with a text, or undefined. The text itself is not repeated: it may be a secret. */
export function textProblem(text: string, rule: TextRule): string | undefined {
  const min = rule.min ?? 0;
  if (text === "" && min > 0) return "is required";
  // A code point has one or two UTF-16 units: count only where that decides.
  const tooLong =
    text.length > rule.max && (text.length > 2 * rule.max || [...text].length > rule.max);
  if (tooLong) return `must have at most ${rule.max} characters`;
  if (text.length < min || (text.length < 2 * min && [...text].length < min))
    return `must have at least ${min} characters`;
  if (/[\p{Cc}\u2028\u2029]/u.test(text)) return "must not contain control characters";
  if (rule.pattern && text !== "" && !rule.pattern.test(text)) return `must be ${rule.form}`;
  return undefined;
}

/** A name for people. Two that look alike are alike: no space at either end, and nothing that turns the reading direction. */
export const NAME_RULE: TextRule = {
  min: 1,
  max: 128,
  pattern: /^(?!.*[\u200e\u200f\u202a-\u202e\u2066-\u2069])\S(.*\S)?$/su,
  form: "a name without a space at either end and without marks that turn the reading direction",
};
