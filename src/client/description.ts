import type { Described } from "./convert.js";
import type { ServiceCredentials, ServiceDescription } from "./registration.js";

/**
 * What is described after a change of some of it. Credentials change field by field, and
 * what the change does not name is said again: a Pulse that has lost its data, or has not
 * heard of the change before, does not have it.
 */
export function described(
  before: Described,
  change: { readonly service?: ServiceDescription; readonly credentials?: ServiceCredentials },
): Described {
  const { service = before.service, credentials } = change;
  return {
    service,
    credentials: credentials
      ? credentialsAfter(before.credentials ?? {}, credentials)
      : before.credentials,
  };
}

/** Their state goes with the credentials that it was said of. */
function credentialsAfter(
  before: ServiceCredentials,
  change: ServiceCredentials,
): ServiceCredentials {
  const { username = before.username, apiKey = before.apiKey } = change;
  const isSame = username === before.username && apiKey === before.apiKey;
  const state = change.state ?? (isSame ? before.state : undefined);
  return {
    ...(username !== undefined && { username }),
    ...(apiKey !== undefined && { apiKey }),
    ...(state && { state }),
  };
}
