import { readResumeToken } from "../../src/pulse/resume-token.js";
import {
  changedId,
  placeOf,
  type RecordedResponse,
  type RecordedStream,
  type Recording,
  resumedFrom,
  type State,
  stateDifference,
  WatchedState,
} from "./watch-recording.js";

// What every watch guarantees, each as a function from what was recorded to all
// that is wrong with it. A resume token is opaque to clients; tests look into it.

/** Revisions never fall in a stream, nor from one to the next that resumes the same history. */
export function ordered(recording: Recording): string[] {
  const broken: string[] = [];
  let highest = 0n;
  for (const [stream, at] of streamsOf(recording)) {
    // Of a token that is compacted nobody knows whether what was seen beyond it still is.
    if (!resumedFrom(stream)) highest = isCompacted(stream) ? revisionOf(stream.openedWith) : 0n;
    let last = resumedFrom(stream)?.revision ?? 0n;
    let lastToken = last;
    let isInSnapshot = true;
    for (const [i, response] of stream.responses.entries()) {
      const { revision, token, event } = response;
      if (revision < last) broken.push(`${at(i)}: revision ${revision} after ${last}`);
      if (token !== "" && revisionOf(token) < lastToken)
        broken.push(`${at(i)}: a token of ${revisionOf(token)} after one of ${lastToken}`);
      if ((event.kind === "snapshot" || event.kind === "bookmark") && revision < highest)
        broken.push(`${at(i)}: ${event.kind} of ${revision}, and ${highest} was seen before`);
      if (event.kind === "snapshot" && !isInSnapshot) broken.push(`${at(i)}: a snapshot too late`);
      isInSnapshot &&= event.kind === "snapshot" && event.more;
      last = revision;
      if (token !== "") lastToken = revisionOf(token);
    }
    highest = max(highest, last);
  }
  return broken;
}

/** No change comes twice in a stream, nor once more after a token that covered it. */
export function unique(recording: Recording): string[] {
  const broken: string[] = [];
  for (const [stream, at] of streamsOf(recording)) {
    const seen = new Set<string>();
    let covered = resumedFrom(stream)?.revision ?? -1n;
    for (const [i, response] of stream.responses.entries()) {
      for (const key of keysOf(response)) {
        if (seen.has(key)) broken.push(`${at(i)}: ${key} comes twice`);
        seen.add(key);
      }
      if (changedId(response) !== undefined && response.revision <= covered)
        broken.push(`${at(i)}: ${keysOf(response)} comes after a token of ${covered}`);
      if (response.token !== "") covered = max(covered, revisionOf(response.token));
    }
  }
  return broken;
}

/**
 * A commit is seen whole: where a token names it, all of its changes that concern
 * the watcher were sent, or newer ones of the same items; and nothing of a later one.
 */
export function atomic(recording: Recording): string[] {
  const broken: string[] = [];
  for (const [stream, at] of streamsOf(recording)) {
    let from = resumedFrom(stream) ? placeOf(stream.openedWith) : undefined;
    let sent: RecordedResponse[] = [];
    for (const [i, response] of stream.responses.entries()) {
      const { event, revision } = response;
      const token = placeOf(response.token);
      if (event.kind === "snapshot") {
        if ((token === "") !== event.more)
          broken.push(`${at(i)}: a snapshot has its token with the last part`);
        if (token !== "" && revisionOf(token) !== revision)
          broken.push(`${at(i)}: a snapshot of ${revision} with a token of ${revisionOf(token)}`);
        if (token !== "") from = token;
        continue;
      }
      if (changedId(response) !== undefined) sent.push(response);
      if (token === "" || token === from) continue;
      if (from === undefined) broken.push(`${at(i)}: a token before any snapshot`);
      else
        for (const problem of partsMissing(recording, from, token, sent))
          broken.push(`${at(i)}: ${problem}`);
      from = token;
      sent = [];
    }
  }
  return broken;
}

function partsMissing(
  { truth }: Recording,
  from: string,
  to: string,
  sent: readonly RecordedResponse[],
): string[] {
  const commits = truth.between(from, to);
  if (!commits) return [`no way leads from ${revisionOf(from)} to ${revisionOf(to)}`];
  const until = revisionOf(to);
  const broken = sent
    .filter(({ revision }) => revision > until)
    .map(({ revision }) => `a part of ${revision} is sent, and then a token of ${until}`);
  const newest = new Map(commits.flatMap(({ ids, revision }) => ids.map((id) => [id, revision])));
  for (const [id, revision] of newest) {
    // What came and went in between need not be told.
    if (!truth.stateAt(from)?.has(id) && !truth.stateAt(to)?.has(id)) continue;
    const isSent = sent.some(
      (response) => changedId(response) === id && response.revision >= revision,
    );
    if (!isSent) broken.push(`a token of ${until} without ${id} of ${revision}`);
  }
  return broken;
}

/** No gap: wherever a token moves, what the watcher knows is the truth at the commit it names. */
export function reliable(recording: Recording): string[] {
  const broken: string[] = [];
  const watched = new WatchedState();
  for (const [stream, at] of streamsOf(recording)) {
    watched.reopen();
    let last = placeOf(stream.openedWith);
    for (const [i, response] of stream.responses.entries()) {
      const { event } = response;
      const token = placeOf(response.token);
      watched.apply(response);
      const isNews = token !== last || event.kind === "snapshot" || event.kind === "bookmark";
      if (token === "" || !isNews) continue;
      last = token;
      const expected = recording.truth.stateAt(token);
      const difference = expected
        ? stateDifference(watched.state, expected)
        : "there was no such commit";
      if (difference !== undefined)
        broken.push(`${at(i)}: at the token of ${revisionOf(token)} ${difference}`);
    }
  }
  return broken;
}

/** Bookmarks say that all up to their revision was sent: nothing at or below it comes later. */
export function bookmarkable(recording: Recording): string[] {
  const broken: string[] = [];
  for (const [stream, at] of streamsOf(recording)) {
    let highest = 0n;
    let bookmarked = -1n;
    for (const [i, { revision, token, event }] of stream.responses.entries()) {
      if (event.kind !== "bookmark") {
        if (revision <= bookmarked)
          broken.push(`${at(i)}: ${event.kind} of ${revision} after a bookmark of ${bookmarked}`);
      } else {
        if (revision < highest)
          broken.push(`${at(i)}: a bookmark of ${revision} after ${highest} was sent`);
        if (token === "" || revisionOf(token) !== revision)
          broken.push(`${at(i)}: a bookmark of ${revision} without the token of it`);
        bookmarked = max(bookmarked, revision);
      }
      highest = max(highest, revision);
    }
  }
  return broken;
}

/** A watcher that was cut off, and what became of one that went on from there. */
export interface Replay {
  readonly name: string;
  /** What the watcher knew when it had no newer token than that which the first stream was opened with. */
  readonly before: State;
  readonly streams: readonly RecordedStream[];
  /** What one knows that was never cut off. */
  readonly expected: State;
}

/** Whoever resumes, with any token that was ever given out, ends up as if never cut off. */
export function resumable(replays: readonly Replay[]): string[] {
  return replays.flatMap(({ name, before, streams, expected }) => {
    const watched = new WatchedState(before);
    for (const { responses } of streams) {
      watched.reopen();
      for (const response of responses) watched.apply(response);
    }
    const difference = stateDifference(watched.state, expected);
    const token = streams[0]?.openedWith ?? "";
    const from = token === "" ? "nothing" : revisionOf(token);
    return difference === undefined ? [] : [`${name}, resumed from ${from}: ${difference}`];
  });
}

type Place = (response: number) => string;

function isCompacted({ responses }: RecordedStream): boolean {
  const event = responses[0]?.event;
  return event?.kind === "snapshot" && event.reason === "COMPACTED";
}

function streamsOf({ name, streams }: Recording): [RecordedStream, Place][] {
  return streams.map((stream, i) => [stream, (at) => `${name}, stream ${i}, response ${at}`]);
}

function keysOf({ event, revision }: RecordedResponse): string[] {
  if (event.kind === "snapshot") return event.items.map(({ id }) => `${id} of the snapshot`);
  if (event.kind === "bookmark") return [];
  return [`${event.kind === "put" ? event.item.id : event.id} of ${revision}`];
}

function revisionOf(token: string): bigint {
  return readResumeToken(token).revision;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
