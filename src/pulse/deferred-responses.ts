/**
 * The responses of a stream that can be opened only after something else. It is
 * opened when the first response is asked for; what fails there, fails then.
 */
export function deferResponses<T>(open: () => Promise<AsyncIterable<T>>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      let opening: Promise<AsyncIterator<T>> | undefined;
      let isLeft = false;
      const opened = () => {
        opening ??= open().then((responses) => responses[Symbol.asyncIterator]());
        return opening;
      };
      return {
        next: async () =>
          isLeft && !opening ? { done: true, value: undefined } : (await opened()).next(),
        async return() {
          isLeft = true;
          // Whoever leaves before it is open must not leave it open.
          const iterator = await opening?.catch(() => undefined);
          return (await iterator?.return?.()) ?? { done: true, value: undefined };
        },
      };
    },
  };
}
