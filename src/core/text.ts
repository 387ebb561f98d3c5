import { type TextRule, textProblem } from "../lib/text-rule.js";
import type { FieldViolation } from "./errors.js";

export { NAME_RULE, type TextRule, textProblem } from "../lib/text-rule.js";

/** Adds to `violations` what is wrong with a field's text. */
export function checkText(
  violations: FieldViolation[],
  field: string,
  text: string,
  rule: TextRule,
): void {
  const description = textProblem(text, rule);
  if (description !== undefined) violations.push({ field, description });
}
