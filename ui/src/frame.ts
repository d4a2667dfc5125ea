/** Calls `draw` once before the next frame, however often `ask` is called: data may come faster than a screen can show it. */
export function perFrame(draw: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** Runs jobs in order, at most `width` at a time: a page with many series does not take all of a browser's connections. */
export class Queue {
  private readonly waiting: (() => Promise<void>)[] = [];
  private running = 0;

  constructor(private readonly width: number) {}

  add(job: () => Promise<void>): void {
    this.waiting.push(job);
    this.next();
  }

  clear(): void {
    this.waiting.length = 0;
  }

  private next(): void {
    if (this.running >= this.width) return;
    const job = this.waiting.shift();
    if (!job) return;
    this.running += 1;
    job().finally(() => {
      this.running -= 1;
      this.next();
    });
  }
}
