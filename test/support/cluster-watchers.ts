import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { WatchServicesResponse } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Service } from "../../gen/pulse/v1/service_pb.js";
import type { AskedNode } from "./cluster.js";
import { eventually } from "./eventually.js";
import { seededRandom } from "./seeded-random.js";
import { type OpenWatch, RecordedWatcher } from "./watch-recorder.js";
import { type State, stateDifference, type Truth } from "./watch-recording.js";
import { replayOf } from "./watch-replay.js";
import { entryText, serviceText, type TrueHistory } from "./watch-truth.js";
import {
  atomic,
  bookmarkable,
  ordered,
  type Replay,
  reliable,
  resumable,
  unique,
} from "./watch-validators.js";

type Topic = "entries" | "services";

/** As the protocol wants it: two intervals of bookmarks, and some time for the first message. */
const SILENCE_MS = 11_000;
/** Between two streams of a watcher, which may well fail if its next node is away, too. */
const RETRY_MS = 100;

interface ClusterWatcher {
  readonly topic: Topic;
  readonly watcher: RecordedWatcher;
}

/**
 * Watchers of both topics on each node, which go to the next node, with their token,
 * whenever a stream ends or is silent.
 */
export class ClusterWatchers {
  readonly #watchers: readonly ClusterWatcher[];
  readonly #nodes: readonly AskedNode[];
  readonly #token: string;
  #history: TrueHistory | undefined;

  /** @param token of scope `discover` */
  constructor(nodes: readonly AskedNode[], token: string) {
    this.#nodes = nodes;
    this.#token = token;
    this.#watchers = nodes.flatMap((node, n) =>
      (["entries", "services"] as const).map((topic) => {
        let next = n;
        const open: OpenWatch = (resumeToken, signal) =>
          this.#open(topic, this.#node(next++), resumeToken, signal);
        return {
          topic,
          watcher: new RecordedWatcher({
            name: `${topic}, first on ${node.name}`,
            open,
            truth: this.#truth(topic),
            retryMs: () => RETRY_MS,
          }),
        };
      }),
    );
  }

  /** How streams ended that were not dropped, each once. */
  get ends(): readonly string[] {
    const ends = this.#watchers.flatMap(({ watcher }) => watcher.streams.map(({ end }) => end));
    return [...new Set(ends)].filter((end) => end !== "dropped" && end !== "").sort();
  }

  /** Snapshots that came after a stream's token was refused: there should be none. */
  get fresh(): readonly string[] {
    return this.#watchers.flatMap(({ watcher }) =>
      watcher.streams.flatMap(({ openedWith, responses }) => {
        const event = responses[0]?.event;
        const isFresh = openedWith !== "" && event?.kind === "snapshot";
        return isFresh ? [`${watcher.name}: ${event.reason}`] : [];
      }),
    );
  }

  /** Waits until each knows what each node says, and ends them. Nobody may write any more. */
  async settle(withinMs = 15_000): Promise<void> {
    const settled = this.#watchers.map(({ topic, watcher }) =>
      eventually(async () => {
        for (const node of this.#nodes) {
          const { state, token } = await this.#list(topic, node);
          if (watcher.token !== token)
            throw new Error(`${watcher.name} is not where ${node.name} is`);
          const difference = stateDifference(watcher.state, state);
          if (difference !== undefined)
            throw new Error(`${watcher.name}, by ${node.name}: ${difference}`);
        }
      }, withinMs),
    );
    await Promise.all(settled);
    await Promise.all(this.#watchers.map(({ watcher }) => watcher.stop()));
  }

  stop(): Promise<unknown> {
    return Promise.all(this.#watchers.map(({ watcher }) => watcher.stop()));
  }

  /** All that is wrong with what they were told, by the name of the guarantee. */
  async broken(history: TrueHistory): Promise<Readonly<Record<string, readonly string[]>>> {
    this.#history = history;
    const watchers = this.#watchers.map(({ watcher }) => watcher);
    return {
      ordered: watchers.flatMap(ordered),
      unique: watchers.flatMap(unique),
      atomic: watchers.flatMap(atomic),
      reliable: watchers.flatMap(reliable),
      bookmarkable: watchers.flatMap(bookmarkable),
      resumable: resumable(await this.#replays()),
    };
  }

  /** Each goes on from some tokens that it had, on a node that may be another than gave them. */
  async #replays(): Promise<readonly Replay[]> {
    const random = seededRandom(1);
    const replays = this.#watchers.map(({ topic, watcher }, n) => {
      const open: OpenWatch = (token, signal) =>
        this.#open(topic, this.#node(n + 1), token, signal);
      return replayOf(random, watcher, open, () => true);
    });
    return (await Promise.all(replays)).flat();
  }

  #node(n: number): AskedNode {
    return this.#nodes[n % this.#nodes.length] as AskedNode;
  }

  #open(topic: Topic, node: AskedNode, resumeToken: string, signal: AbortSignal) {
    const connection = node.connect(this.#token);
    const silence = new AbortController();
    const options = { signal: AbortSignal.any([signal, silence.signal]) };
    const responses: AsyncIterable<WatchDownloadClientsResponse | WatchServicesResponse> =
      topic === "entries"
        ? connection.downloadClients.watchDownloadClients({ resumeToken }, options)
        : connection.registry.watchServices({ resumeToken }, options);
    return untilSilent(responses, () => silence.abort(), connection.close);
  }

  async #list(topic: Topic, node: AskedNode): Promise<{ state: State; token: string }> {
    const { registry, downloadClients, close } = node.connect(this.#token);
    try {
      if (topic === "entries") {
        const list = await downloadClients.listDownloadClients({ pageSize: 1_000 });
        return { state: stateOf(list.downloadClients, entryText), token: list.resumeToken };
      }
      const list = await registry.listServices({ pageSize: 1_000 });
      return { state: stateOf(list.services, serviceText), token: list.resumeToken };
    } finally {
      close();
    }
  }

  /** Known once all is over. */
  #truth(topic: Topic): Truth {
    const all = { matches: () => true, withCredentials: true };
    let truth: Truth | undefined;
    const known = () => {
      if (!this.#history) throw new Error("nobody has read the database yet");
      truth ??= topic === "entries" ? this.#history.entries(all) : this.#history.services(all);
      return truth;
    };
    return {
      stateAt: (token) => known().stateAt(token),
      between: (from, to) => known().between(from, to),
    };
  }
}

function stateOf<Item extends Service | DownloadClient>(
  items: readonly Item[],
  textOf: (item: Item) => string,
): State {
  return new Map(items.map((item) => [item.id, textOf(item)]));
}

/** The same responses, but an end if none comes for too long. */
async function* untilSilent<Response>(
  responses: AsyncIterable<Response>,
  onSilence: () => void,
  onEnd: () => void,
): AsyncIterable<Response> {
  let timer = setTimeout(onSilence, SILENCE_MS);
  try {
    for await (const response of responses) {
      clearTimeout(timer);
      yield response;
      timer = setTimeout(onSilence, SILENCE_MS);
    }
  } finally {
    clearTimeout(timer);
    onEnd();
  }
}
