const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** A call's timeout as the header `grpc-timeout` carries it (gRPC over HTTP/2: at most 8 digits and a unit). */
export function formatTimeout(timeoutMs: number): string {
  return `${Math.min(Math.max(1, Math.ceil(timeoutMs)), 99_999_999)}m`;
}

/** The timeout in ms that the header says, or undefined. */
export function parseTimeout(text: string | null): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text ?? "");
  const unitMs = UNIT_MS[match?.[2] ?? ""];
  return match && unitMs !== undefined ? Number(match[1]) * unitMs : undefined;
}

/** The header, or one of `maxMs` (in whole seconds, since 8 digits of ms are 28 h) if it says more. */
export function capTimeout(text: string, maxMs: number): string {
  return Number(parseTimeout(text)) > maxMs ? `${Math.floor(maxMs / 1_000)}S` : text;
}
