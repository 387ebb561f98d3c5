/**
 * Asks until `check` returns without throwing, every 20 ms, for at most
 * `withinMs`; then the last error is the test's. For tests in real time only.
 */
export async function eventually<Value>(
  check: () => Value | Promise<Value>,
  withinMs = 10_000,
): Promise<Value> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
