import { hostname, networkInterfaces } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "../lib/clock.js";
import { systemRandom } from "../lib/random.js";
import type { CertificatePlace, PlacedCertificate } from "../pulse/own-certificates.js";
import { CommandError } from "./failure.js";
import { hostNames } from "./host-names.js";
import { jsonOption, parseName, pulseDataOption } from "./options.js";
import { cell, print } from "./output.js";
import { pulseDataDirectory, tlsPlaces } from "./places.js";
import { commandGroup } from "./program.js";

const ISSUING = { clock: systemClock, random: systemRandom };

export function tlsCommand(): Command {
  return commandGroup("tls", "certificates of one's own, so that nothing travels in clear", [
    initCommand(),
    issueCommand(),
  ]);
}

interface InitOptions {
  readonly name?: readonly string[];
  readonly data?: string;
  readonly json?: boolean;
}

function initCommand(): Command {
  return new Command("init")
    .description(
      "make a certificate authority, if there is none, and a certificate for Pulse from it; again to renew, which a running Pulse takes",
    )
    .addOption(
      new Option(
        "--name <name...>",
        "host names and addresses by which clients call Pulse, besides this host's own and localhost; default: those of the certificate that is there",
      ).argParser(parseHostName),
    )
    .addOption(pulseDataOption())
    .addOption(jsonOption())
    .action(async ({ name, data, json }: InitOptions) => {
      const { keepAuthority, namesIn, placeCertificate } = await import(
        "../pulse/own-certificates.js"
      );
      const places = tlsPlaces(pulseDataDirectory(data, process.env));
      const own = hostNames({ hostname: hostname(), interfaces: networkInterfaces() });
      const given = name ?? (await namesIn(places.serverCertificate));
      const names = [...new Set([...given, ...own])];
      const subject = given[0] ?? hostname();
      const authority = { certificate: places.authority, key: places.authorityKey };
      const { keyed, isNew } = await keepAuthority(authority, `Pulse on ${hostname()}`, ISSUING);
      const placed = await placeCertificate(
        keyed,
        { use: "server", subject, names },
        { certificate: places.serverCertificate, key: places.serverKey },
        ISSUING,
      );
      const about = { authority: { ...authority, new: isNew }, server: factsOf(placed) };
      print(
        json ? JSON.stringify(about, null, 2) : initText(authority, isNew, placed, subject, data),
      );
    });
}

interface IssueOptions {
  readonly name: string;
  readonly out?: string;
  readonly data?: string;
  readonly json?: boolean;
}

function issueCommand(): Command {
  return new Command("issue")
    .description("make a certificate for a client, for a Pulse that was started with --client-ca")
    .requiredOption("--name <name>", "whom it is for", parseName)
    .option("--out <directory>", "where to put it; default tls/clients in the data directory")
    .addOption(pulseDataOption())
    .addOption(jsonOption())
    .action(async ({ name, out, data, json }: IssueOptions) => {
      const { placeCertificate, readAuthority } = await import("../pulse/own-certificates.js");
      const places = tlsPlaces(pulseDataDirectory(data, process.env));
      const authority = await readAuthority({
        certificate: places.authority,
        key: places.authorityKey,
      });
      if (!authority)
        throw new CommandError(
          `there is no authority in ${places.directory}: make it with \`pulse tls init\``,
        );
      const directory = out === undefined ? places.clients : resolve(out);
      const file = join(directory, fileNameOf(name));
      const placed = await placeCertificate(
        authority,
        { use: "client", subject: name, names: [] },
        { certificate: `${file}.crt`, key: `${file}.key` },
        ISSUING,
      );
      print(
        json
          ? JSON.stringify({ client: factsOf(placed), authority: places.authority }, null, 2)
          : issueText(name, placed, places.authority),
      );
    });
}

function parseHostName(text: string, before: readonly string[] = []): string[] {
  const name = text.replace(/^\[(.*)\]$/, "$1");
  const isAddress = URL.canParse(`http://[${name}]`);
  if (!isAddress && !/^(\*\.)?[\p{L}\p{N}_.-]+$/u.test(name))
    throw new InvalidArgumentError(
      "Give a host name or an IP address, without a port, such as pulse.home or 192.168.1.5.",
    );
  return [...before, name];
}

/** A name as a file, whatever it holds. */
function fileNameOf(name: string): string {
  return encodeURIComponent(name).replace(/^\.+/, (dots) => "%2E".repeat(dots.length));
}

function factsOf({ place, about }: PlacedCertificate) {
  const { names, notAfterAt, fingerprint } = about;
  return { ...place, names, notAfter: new Date(notAfterAt).toISOString(), fingerprint };
}

function initText(
  authority: CertificatePlace,
  isNew: boolean,
  { place, about }: PlacedCertificate,
  name: string,
  data: string | undefined,
): string {
  const given = data === undefined ? "" : ` --data ${cell(data)}`;
  return [
    `${isNew ? "Made" : "Kept"} the authority ${cell(authority.certificate)}, which clients need. Its key stays here, and secret.`,
    `Made ${cell(place.certificate)} and its key`,
    `  for ${about.names.map(cell).join(", ")}`,
    `  until ${dateOf(about.notAfterAt)}`,
    `  SHA-256 fingerprint ${about.fingerprint}`,
    "",
    "Pulse takes it by itself; one that serves TLS already, within seconds:",
    `  pulse serve --listen 0.0.0.0:9696${given}`,
    `And a client on another host, with a copy of ${cell(authority.certificate)}:`,
    `  pulse clients list --pulse https://${cell(name)}:9696 --ca ca.crt`,
  ].join("\n");
}

function issueText(name: string, { place, about }: PlacedCertificate, authority: string): string {
  return [
    `Made ${cell(place.certificate)} and its key ${cell(place.key)} for ${cell(name)}, until ${dateOf(about.notAfterAt)}.`,
    "Pulse asks for it once it is started with",
    `  pulse serve --client-ca ${cell(authority)}`,
    "And the client shows it with",
    `  --ca ${cell(authority)} --cert ${cell(place.certificate)} --key ${cell(place.key)}`,
  ].join("\n");
}

function dateOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
