import { z } from "zod";
import { parseAbsolutePath } from "../../lib/absolute-path.js";
import { DURATION_PATTERN, durationMs } from "../../lib/duration.js";
import { hostOf, inUrl, isUnspecifiedHost } from "../../lib/host.js";
import { type TextRule, textProblem } from "../../lib/text-rule.js";
import { clientUrlProblem } from "../fronted-client.js";
import { SIZE_PATTERN, sizeBytes } from "./size.js";

// The values of a configuration file. What is said of a bad one never repeats it: it may
// be a secret that went into the wrong place.

const PATH_RULE = { min: 1, max: 4_096 };
/** As in the contract, for what Pulse is told. */
const CLIENT_PATH_RULE = { min: 1, max: 1_024 };
const URL_RULE = { min: 1, max: 2_048 };
/** Of a name in DNS. */
const HOST_RULE = { min: 1, max: 253 };

/** For what has no value, one of another type, or one that breaks the rule. */
export function wants(form: string) {
  return ({ input }: { readonly input?: unknown }): string => {
    if (input === undefined) return `is missing: give ${form}`;
    if (input === null) return `has no value: give ${form}`;
    return `must be ${form}`;
  };
}

/** @param form what it is, for people, with an example */
export function text(rule: TextRule, form: string) {
  const says = wants(form);
  return z
    .string({
      error: ({ input }) =>
        typeof input === "number" || typeof input === "boolean"
          ? "must be a text: put quotes around it"
          : says({ input }),
    })
    .superRefine((value, context) => {
      const problem = value === "" && rule.min ? says({ input: null }) : textProblem(value, rule);
      if (problem) context.addIssue(problem);
    })
    .meta({ ...(rule.min && { minLength: rule.min }), maxLength: rule.max });
}

/** @param problemOf says what is wrong with a text that keeps the rule; undefined: nothing */
export function checkedText(
  rule: TextRule,
  form: string,
  problemOf: (value: string) => string | undefined,
) {
  return text(rule, form).superRefine((value, context) => {
    const problem = textProblem(value, rule) === undefined && problemOf(value);
    if (problem) context.addIssue(problem);
  });
}

/** Of a file on Haul's own host. */
export const path = text(PATH_RULE, "the path of a file");

const VARIABLE_FORM = "the name of an environment variable, such as QB_PASSWORD";
export const variable = text(
  { min: 1, max: 256, pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, form: VARIABLE_FORM },
  VARIABLE_FORM,
);

/** Of a directory, as the download client or a manager writes it: the system may be another. */
export const absolutePath = checkedText(
  CLIENT_PATH_RULE,
  "an absolute path such as /downloads",
  (value) =>
    parseAbsolutePath(value)
      ? undefined
      : "must be an absolute path, such as /downloads or 'C:\\Downloads'",
);

export const clientUrl = checkedText(
  URL_RULE,
  "a URL such as http://127.0.0.1:8080",
  clientUrlProblem,
);

const HOST_FORM = "a host's name or address, such as gluetun or 192.168.1.10";
export const host = checkedText(HOST_RULE, HOST_FORM, (value) => {
  const url = `http://${inUrl(value)}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || /[/?#@\\\s]/.test(value) || parsed.port !== "" || /:\d*$/.test(url))
    return `must be ${HOST_FORM}, without scheme, port and path`;
  if (isUnspecifiedHost(hostOf(parsed))) return "must be an address that others can reach";
  return undefined;
});

export const yesOrNo = z.boolean({ error: "must be true or false" });

const SIZE_FORM = "a size such as 5GiB or 500MB, or 0 for never";
const noSize = { error: wants(SIZE_FORM) };
/** In bytes. */
export const size = z
  .union([z.int(noSize).min(0, noSize), z.string().regex(SIZE_PATTERN, noSize)], noSize)
  .transform((value, context) => {
    const bytes = typeof value === "number" ? value : sizeBytes(value);
    if (bytes === undefined) context.addIssue(`must be ${SIZE_FORM}`);
    return bytes ?? 0;
  });

const DURATION_FORM = "a duration such as 30m, 12h or 90s, or 0 for never";
const noDuration = { error: wants(DURATION_FORM) };
/** In ms. */
export const duration = z
  .union([z.literal(0), z.string().regex(DURATION_PATTERN, noDuration)], noDuration)
  .transform((value, context) => {
    const ms = value === 0 ? 0 : durationMs(value);
    if (ms === undefined) context.addIssue(`must be ${DURATION_FORM}`);
    return ms ?? 0;
  });
