/**
 * To be called after a regular expression has matched a secret: V8 keeps the whole text that
 * was matched last (`RegExp.input`) until it matches another one. This is no secret.
 */
export function forgetLastMatch(): void {
  /^/.test("");
}
