/** What one side of a stream sends: pushed by one party, iterated by the other, once. */
export interface MessageQueue<T> extends AsyncIterable<T> {
  push(message: T): void;
  /** No more messages: the iteration ends after those that wait. */
  end(): void;
}

export function createMessageQueue<T>(): MessageQueue<T> {
  const waiting: T[] = [];
  let state: "open" | "ended" = "open";
  let wake = () => {};

  async function* read(): AsyncGenerator<T, void> {
    try {
      while (state === "open" || waiting.length > 0) {
        const arrived = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (waiting.length === 0) await arrived;
        yield* waiting.splice(0);
      }
    } finally {
      state = "ended"; // also when the reader leaves
    }
  }
  const iterator = read();

  return {
    push(message) {
      if (state === "ended") return;
      waiting.push(message);
      wake();
    },
    end() {
      state = "ended";
      wake();
    },
    [Symbol.asyncIterator]: () => iterator,
  };
}
