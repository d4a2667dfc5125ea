/** Time and chance are parameters, so that a test moves them. Durations and instants in milliseconds. */
export interface Clock {
  now(): number;
  /** From 0 (included) to 1 (excluded). */
  random(): number;
  /** Returns what ends the wait before it is over. */
  after(ms: number, then: () => void): () => void;
}

export const realClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};
