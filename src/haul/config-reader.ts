/**
 * What reads and watches configuration files. Loaded when it is first asked for: a Haul
 * without such a file has no need of the 6 MB that a parser and a schema take.
 */
export function loadConfigReader(): Promise<typeof import("./config/index.js")> {
  return import("./config/index.js");
}
