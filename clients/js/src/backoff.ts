/**
 * How long to wait before the next attempt: doubles from `first` to `most`, and half of it is chance, so that the clients of a
 * server that restarts do not come back in one moment. Begins anew after a connection that was healthy for `healthy`.
 */
export class Backoff {
  attempts = 0;

  constructor(
    private readonly random: () => number,
    private readonly first = 500,
    private readonly most = 30_000,
    private readonly healthy = 10_000,
  ) {}

  /** Milliseconds to wait now; `connected_ms` is how long the connection that just ended had lasted. */
  next(connected_ms: number): number {
    if (connected_ms >= this.healthy) this.attempts = 0;
    const whole = Math.min(this.most, this.first * 2 ** Math.min(this.attempts, 20));
    this.attempts += 1;
    return whole / 2 + (whole / 2) * this.random();
  }
}
