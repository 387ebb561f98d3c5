/**
 * The first `maxLength` characters of a text (whole code points), in one line:
 * control characters and line breaks become spaces.
 */
export function oneLine(text: string, maxLength: number): string {
  const cut =
    text.length <= maxLength
      ? text
      : [...text.slice(0, 2 * maxLength)].slice(0, maxLength).join("");
  return cut.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}
