import { TestOutcome } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { Probe } from "../adapters/adapter.js";
import { isProbeable, probeClient } from "../adapters/probe.js";
import type { Actor } from "../core/audit.js";
import type { EntryFacts, ResolvedEntry } from "../core/entry.js";
import { noteTest } from "../core/entry-command.js";
import { DomainError, notFound } from "../core/errors.js";
import type { CredentialState } from "../core/service.js";
import type { Clock } from "../lib/clock.js";
import { inUrl } from "../lib/host.js";
import { type AddressRule, createProbeRule } from "../lib/probe-address.js";
import type { AuditRecorder } from "./audit-recorder.js";
import type { EntrySigns } from "./entry-signs.js";
import type { Registry } from "./registry.js";

/** What a test of an entry has shown. No text holds a secret. */
export interface EntryTest {
  readonly outcome: TestOutcome;
  /** In a sentence, with what to do about it. */
  readonly message: string;
  /** Empty if the client did not tell it. */
  readonly version: string;
  readonly latencyMs: number;
  /** What is known of the credentials now. */
  readonly credentialState: CredentialState;
}

const OUTCOMES: Readonly<Record<Probe["outcome"], TestOutcome>> = {
  ok: TestOutcome.OK,
  unreachable: TestOutcome.UNREACHABLE,
  "authentication-failed": TestOutcome.CREDENTIALS_REJECTED,
  banned: TestOutcome.BANNED,
  "wrong-kind": TestOutcome.WRONG_KIND,
  "unsupported-version": TestOutcome.UNSUPPORTED_VERSION,
};

/** What an entry's credentials have shown to be; undefined: nothing. */
type Proof = Exclude<CredentialState, "unverified"> | undefined;

/** An answer of a busy client may be large: only so many are read at once. */
const MAX_TESTS = 8;
const FULL_RETRY_AFTER_MS = 2_000;

export interface EntryTester {
  /**
   * Logs in to a download client as a manager would, from where Pulse runs, and
   * notes what that shows of credentials that an operator set. Ends within 15 s.
   * @param operator who asks for it
   * @throws DomainError: no such entry, or too many tests run; the signal's reason.
   */
  test(id: string, operator: Actor, signal: AbortSignal): Promise<EntryTest>;
}

export interface EntryTesterOptions {
  readonly registry: Registry;
  readonly signs: EntrySigns;
  readonly audit: AuditRecorder;
  readonly clock: Clock;
  /** Which addresses may be called; left out, all but those that never are. */
  readonly addressRule?: AddressRule;
}

export function createEntryTester({
  registry,
  signs,
  audit,
  clock,
  addressRule = createProbeRule(),
}: EntryTesterOptions): EntryTester {
  let running = 0;

  async function probe(
    tested: ResolvedEntry,
    operator: Actor,
    signal: AbortSignal,
  ): Promise<Probe | undefined> {
    const { facts } = tested;
    const { kind, username, password } = facts;
    if (!isProbeable(kind)) return undefined;
    if (running >= MAX_TESTS)
      throw new DomainError(`at most ${MAX_TESTS} download clients are tested at once`, {
        kind: "quota",
        reason: "TOO_MANY_TESTS",
        retryAfterMs: FULL_RETRY_AFTER_MS,
      });
    running++;
    try {
      const target = { kind, url: urlOf(facts), username, secret: password };
      return await probeClient(target, { clock, addressRule, signal });
    } catch (error) {
      tell(tested, operator, "given up");
      throw error;
    } finally {
      running--;
    }
  }

  /** For the audit log, of a test that has shown nothing new. */
  function tell({ entry }: ResolvedEntry, actor: Actor, detail: string): void {
    const about = {
      subject: "download-client",
      subjectId: entry.id,
      subjectName: entry.name,
    } as const;
    audit.record({ actor, action: "entry tested", ...about, detail });
  }

  async function noteProof(
    tested: ResolvedEntry,
    proof: Exclude<Proof, undefined>,
    operator: Actor,
  ): Promise<ResolvedEntry> {
    let isWritten = false;
    try {
      const note = noteTest(tested, proof, operator.tokenName);
      const { isNews, resolved } = await registry.run(note, undefined, operator);
      isWritten = isNews;
      return resolved;
    } finally {
      if (!isWritten) tell(tested, operator, proof);
    }
  }

  return {
    async test(id, operator, signal) {
      const tested = registry.catalog.resolvedEntry(id);
      if (!tested) throw notFound("download client", id);
      const startedAt = clock.now();
      const answer = await probe(tested, operator, signal);
      const latencyMs = clock.now() - startedAt;
      const proof = answer && proofOf(answer);
      const { facts } = proof ? await noteProof(tested, proof, operator) : tested;
      if (proof === "verified") signs.accepted(tested);
      if (!proof && answer) tell(tested, operator, answer.outcome);
      return {
        outcome: answer ? OUTCOMES[answer.outcome] : TestOutcome.UNSUPPORTED_KIND,
        message: answer ? messageOf(answer, tested.facts) : unknownKind(tested.facts.kind),
        version: answer?.outcome === "ok" ? answer.version : "",
        latencyMs,
        credentialState: facts.credentialState,
      };
    },
  };
}

function proofOf(probe: Probe): Proof {
  if (probe.outcome === "authentication-failed") return "rejected";
  return probe.outcome === "ok" && probe.credentials === "accepted" ? "verified" : undefined;
}

function messageOf(probe: Probe, facts: EntryFacts): string {
  if (probe.outcome === "unreachable")
    return `${urlOf(facts)}: ${probe.message}; check that address, and that it can be reached from where Pulse runs`;
  return probe.outcome === "ok" && probe.credentials === "not-asked"
    ? `${probe.message}, and lets Pulse in without looking at the credentials: they are not proven`
    : probe.message;
}

function unknownKind(kind: string): string {
  return `Pulse does not know how to log in to ${kind}, so nothing was tried`;
}

function urlOf({ host, port, useSsl, urlBase }: EntryFacts): string {
  return `${useSsl ? "https" : "http"}://${inUrl(host)}:${port}${urlBase}`;
}
