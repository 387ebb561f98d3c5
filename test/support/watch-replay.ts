import type { Random } from "../../src/lib/random.js";
import { pick } from "./watch-operations.js";
import { type OpenWatch, type RecordedWatcher, recorded } from "./watch-recorder.js";
import type { RecordedResponse, RecordedStream } from "./watch-recording.js";
import type { Replay } from "./watch-validators.js";

/**
 * Cuts a watcher off at some of its moments, and resumes from there.
 * @param isOdd whether a stream should not end so
 */
export async function replayOf(
  random: Random,
  watcher: RecordedWatcher,
  open: OpenWatch,
  isOdd: (end: string) => boolean,
): Promise<Replay[]> {
  const moments = watcher.moments();
  const ahead = moments.filter(({ isAhead }) => isAhead);
  const cuts = [...sample(random, moments, 4), ...sample(random, ahead, 6)];
  return Promise.all(
    cuts.map(async (cut) => {
      const streams = await catchUp(open, cut.token, isOdd);
      const token = streams.at(-1)?.responses.at(-1)?.token ?? "";
      const expected = watcher.truth.stateAt(token) ?? new Map();
      return { name: watcher.name, before: cut.state, streams, expected };
    }),
  );
}

/** So many of them, or all. */
function sample<Item>(random: Random, items: readonly Item[], count: number): readonly Item[] {
  return items.length <= count ? items : Array.from({ length: count }, () => pick(random, items));
}

/** What a watcher with this token is told until it has caught up, should it be cut off on the way. */
async function catchUp(
  open: OpenWatch,
  token: string,
  isOdd: (end: string) => boolean,
): Promise<RecordedStream[]> {
  const streams: RecordedStream[] = [];
  let newest = token;
  for (;;) {
    const controller = new AbortController();
    const responses: RecordedResponse[] = [];
    const stream = { openedWith: newest, responses, end: "caught up" };
    streams.push(stream);
    try {
      for await (const message of open(newest, controller.signal)) {
        const response = recorded(message);
        responses.push(response);
        if (response.token !== "") newest = response.token;
        if (response.event.kind === "bookmark") return streams;
      }
    } catch (error) {
      stream.end = String(error);
      if (isOdd(stream.end)) throw error;
    } finally {
      controller.abort();
    }
  }
}
