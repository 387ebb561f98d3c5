import type { ToyHandlers } from "./toy.js";

/** A handler that sends without end, and what became of it. */
export interface Endless {
  readonly seen: {
    readonly made: number;
    readonly isReturned: boolean;
    readonly isAborted: boolean;
  };
  readonly watch: NonNullable<ToyHandlers["watch"]>;
}

/** Yields messages of a size without end, and tells what became of it. */
export function endless(bytes: number): Endless {
  const text = "x".repeat(bytes);
  const seen = { made: 0, isReturned: false, isAborted: false };
  const watch: Endless["watch"] = async function* (_, { signal }) {
    signal.addEventListener("abort", () => {
      seen.isAborted = true;
    });
    try {
      for (;;) {
        seen.made += 1;
        yield { text };
      }
    } finally {
      seen.isReturned = true;
    }
  };
  return { seen, watch };
}
