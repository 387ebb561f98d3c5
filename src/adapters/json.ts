/** Reading of what another program sent: anything may be there, and nothing is believed. */

/** The value, or undefined if this is not JSON. */
export function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined; // the parser's message would quote what it read
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Text of 1 to 64 printable characters, such as a version. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && /^[\x21-\x7e]{1,64}$/.test(value) ? value : undefined;
}

/** A path: 1 to 1,024 characters, none of them a control character. */
export function path(value: unknown): string | undefined {
  return typeof value === "string" && /^\P{Cc}{1,1024}$/u.test(value) ? value : undefined;
}

/** A whole number from 0 as a field of that name, from a number or its digits; else no field: unknown. */
export function count<Name extends string>(
  name: Name,
  value: unknown,
): { readonly [Key in Name]?: number } {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  const isCount = typeof number === "number" && Number.isSafeInteger(number) && number >= 0;
  return (isCount ? { [name]: number } : {}) as { readonly [Key in Name]?: number };
}
