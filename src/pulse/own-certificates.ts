import { X509Certificate } from "node:crypto";
import { dirname } from "node:path";
import {
  makePrivateDirectory,
  readIfPresent,
  writePrivateFile,
  writePublicFile,
} from "../lib/private-file.js";
import {
  type CertificateRequest,
  createAuthority,
  type Issuing,
  issueCertificate,
  type KeyedCertificate,
} from "./certificates.js";
import { StartError } from "./start-error.js";
import { type CertificateInfo, certificateInfo } from "./tls-files.js";

/** Where a certificate and its key are. */
export interface CertificatePlace {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate in its place. */
export interface PlacedCertificate {
  readonly place: CertificatePlace;
  readonly about: CertificateInfo;
}

/**
 * The authority that is there, or a new one of that name.
 * @throws StartError if half of one is there, or what is there cannot be used
 */
export async function keepAuthority(
  place: CertificatePlace,
  subject: string,
  issuing: Issuing,
): Promise<{ readonly keyed: KeyedCertificate; readonly isNew: boolean }> {
  const existing = await readAuthority(place);
  if (existing) return { keyed: existing, isNew: false };
  const keyed = await createAuthority(subject, issuing);
  await write(place, keyed);
  return { keyed, isNew: true };
}

/**
 * The authority that is there.
 * @throws StartError as above
 */
export async function readAuthority(
  place: CertificatePlace,
): Promise<KeyedCertificate | undefined> {
  const [certificate, key] = await Promise.all([read(place.certificate), read(place.key)]);
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  if (certificate === undefined && key === undefined) return undefined;
  const [there, missing] =
    certificate === undefined ? [place.key, place.certificate] : [place.certificate, place.key];
  throw new StartError(
    `there is ${there}, but not ${missing}: put that back, or remove the other to begin with a new authority, which all clients then need`,
  );
}

/**
 * Issues a certificate and puts it there; one that was there is replaced.
 * @throws StartError if the authority cannot be used
 */
export async function placeCertificate(
  authority: KeyedCertificate,
  request: CertificateRequest,
  place: CertificatePlace,
  issuing: Issuing,
): Promise<PlacedCertificate> {
  const issued = await issueCertificate(authority, request, issuing).catch((error: Error) => {
    throw new StartError(`no certificate can be issued: ${error.message}`, { cause: error });
  });
  await write(place, issued);
  return { place, about: certificateInfo(new X509Certificate(issued.certificate)) };
}

/** The names in the certificate that is there; none, if there is none that can be read. */
export async function namesIn(path: string): Promise<readonly string[]> {
  const pem = await read(path);
  try {
    return pem === undefined ? [] : certificateInfo(new X509Certificate(pem)).names;
  } catch {
    return []; // it is about to be replaced
  }
}

/** The key first: a Pulse that looks just then sees two that do not fit, and waits for the other. */
async function write(place: CertificatePlace, keyed: KeyedCertificate): Promise<void> {
  try {
    await makePrivateDirectory(dirname(place.key));
    await makePrivateDirectory(dirname(place.certificate));
    await writePrivateFile(place.key, keyed.key);
    await writePublicFile(place.certificate, keyed.certificate);
  } catch (error) {
    throw cannot("written", error, place.certificate);
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readIfPresent(path);
  } catch (error) {
    throw cannot("read", error, path);
  }
}

function cannot(what: string, error: unknown, path: string): StartError {
  const { code = "unknown" } = error as NodeJS.ErrnoException;
  return new StartError(
    `${path} cannot be ${what} (${code}): do this as the user of Pulse, or name another directory`,
    { cause: error },
  );
}
