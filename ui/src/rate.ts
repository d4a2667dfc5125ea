/** Things per second over the last `span` milliseconds. */
export class Rate {
  private readonly marks: { time: number; total: number }[] = [];
  private total = 0;

  constructor(private readonly span = 10_000) {}

  /** Counts `n` more. */
  add(now: number, n = 1): void {
    this.set(now, this.total + n);
  }

  /** For a counter that someone else keeps; one that went back began anew. */
  set(now: number, total: number): void {
    if (total < this.total) this.marks.length = 0;
    this.total = total;
    const last = this.marks[this.marks.length - 1];
    // Marks no nearer than a tenth of a second: a fast stream costs no more memory than a slow one.
    if (this.marks.length > 1 && last && now - last.time < 100) last.total = total;
    else this.marks.push({ time: now, total });
    while (this.marks.length > 2 && this.marks[1]!.time <= now - this.span) this.marks.shift();
  }

  /** Of a counter that is looked at now and then: between the first and the last look; null until there are two. */
  between(): number | null {
    const first = this.marks[0];
    const last = this.marks[this.marks.length - 1];
    return first && last && last.time > first.time ? Math.max(0, ((last.total - first.total) * 1000) / (last.time - first.time)) : null;
  }

  /** Up to now; null until half a second allows a rate. */
  at(now: number): number | null {
    while (this.marks.length > 1 && this.marks[1]!.time <= now - this.span) this.marks.shift();
    const first = this.marks[0];
    if (!first || now - first.time < 500) return null;
    return Math.max(0, ((this.total - first.total) * 1000) / (now - first.time));
  }
}
