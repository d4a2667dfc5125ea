import type { SeriesAnswer, SeriesPoint, WindowDocument } from "./contract.js";

/** One reading of one key as it arrives live. */
export interface Reading {
  epoch: string;
  seq: number;
  time: number;
  value: number;
}

export interface Gap {
  from: number;
  to: number;
  cause: string;
}

type Value = number | null;

/** A point as a person asks about it: `middle` is the reading, or the average of a window; the others are null for readings. */
export interface Point {
  time: number;
  low: Value;
  middle: Value;
  high: Value;
  coverage: Value;
  /** The window is not closed yet: computed here from the readings so far. */
  open: boolean;
}

/**
 * One key's history and what has arrived since, in order of time, without a duplicate.
 *
 * History says up to which seq it was read, so a live reading is either in it or new. Raw history takes new readings as they
 * are. Rolled-up history folds them into the open window's point, until the closed window arrives and replaces it.
 * Cost: a reading at the end is O(1), a late one O(n).
 */
export class Series {
  /** Milliseconds a point stands for; null: points are single readings. */
  readonly resolution: number | null;
  readonly source: string;
  readonly times: number[] = [];
  readonly low: Value[] = [];
  readonly middle: Value[] = [];
  readonly high: Value[] = [];
  readonly coverage: Value[] = [];
  gaps: Gap[] = [];
  /** Grows with each change, so that who draws it knows. */
  version = 1;

  /** What the open windows' points were folded from, by start. */
  private readonly open = new Map<number, { sum: number; count: number }>();
  private readonly phase: number;
  private epoch: string | undefined;
  private head_seq: number | undefined;
  private through = -Infinity;

  /** `tail`: the finer history after the last closed window of `answer`, read later than it. */
  constructor(answer: SeriesAnswer, tail?: SeriesAnswer) {
    this.source = answer.source;
    this.resolution = answer.source === "raw" || !answer.resolution_ms ? null : answer.resolution_ms;
    for (const point of answer.points) this.push(point);
    this.phase = this.resolution && this.times.length ? this.times[0]! % this.resolution : 0;
    for (const [from, to, cause] of [...answer.gaps, ...(tail?.gaps ?? [])]) this.addGap({ from, to, cause });
    this.reach(answer);
    if (tail) {
      const closed = this.times.length ? this.times[this.times.length - 1]! + (this.resolution ?? 0) : -Infinity;
      for (const point of tail.points) if (point[0] >= closed) this.foldPoint(point);
      this.reach(tail);
    }
  }

  /** The start of the first window that history does not hold closed; null where there is no history, or it is raw. */
  static openSince(answer: SeriesAnswer): number | null {
    const last = answer.points[answer.points.length - 1];
    return answer.source !== "raw" && answer.resolution_ms && last ? last[0] + answer.resolution_ms : null;
  }

  /** False where history holds the reading already. */
  add(reading: Reading): boolean {
    if (this.holds(reading)) return false;
    if (this.resolution === null) this.insert(reading.time, reading.value);
    else this.fold(reading.time, reading.value, reading.value, reading.value);
    this.version += 1;
    return true;
  }

  /** A closed window, or a later revision of it. Windows of another size only tell of gaps. */
  close(document: WindowDocument): void {
    for (const gap of document.coverage.gaps)
      this.addGap({ from: Date.parse(gap.from), to: Date.parse(gap.to), cause: gap.cause });
    this.version += 1;
    if (document.window.name !== this.source) return;
    const time = Date.parse(document.window.start);
    const { min = null, avg = null, max = null } = document.statistics ?? {};
    const at = this.place(time);
    this.low[at] = min;
    this.middle[at] = avg;
    this.high[at] = max;
    this.coverage[at] = document.coverage.ratio;
    this.open.delete(time);
  }

  /** Forgets what ended before. */
  trim(before: number): void {
    let count = 0;
    while (count < this.times.length && this.times[count]! < before) count += 1;
    // Now and then, not each time: removal from the front costs the whole length.
    if (count < 100 || count < this.times.length / 4) return;
    for (const column of [this.times, this.low, this.middle, this.high, this.coverage]) column.splice(0, count);
    this.gaps = this.gaps.filter((gap) => gap.to >= before);
    this.version += 1;
  }

  /** The point nearest to that time, within what it stands for or `reach` for readings; null where there is none. */
  at(time: number, reach: number): Point | null {
    if (this.times.length === 0) return null;
    let i = this.indexFrom(this.resolution === null ? time : time + 1) - (this.resolution === null ? 0 : 1);
    if (this.resolution === null && (i >= this.times.length || (i > 0 && time - this.times[i - 1]! < this.times[i]! - time))) i -= 1;
    if (i < 0 || i >= this.times.length) return null;
    const distance = Math.abs(this.times[i]! - time);
    return distance <= (this.resolution ?? reach) ? this.point(i) : null;
  }

  last(): Point | null {
    for (let i = this.times.length - 1; i >= 0; i -= 1) if (this.middle[i] !== null) return this.point(i);
    return null;
  }

  /** Times at which a line must be broken, since nothing is known between the points beside them. */
  breaks(): number[] {
    if (this.resolution !== null) {
      const breaks: number[] = [];
      for (let i = 1; i < this.times.length; i += 1)
        if (this.times[i]! - this.times[i - 1]! > 1.5 * this.resolution) breaks.push(this.times[i - 1]! + this.resolution);
      return breaks;
    }
    const empty = (gap: Gap) => this.indexFrom(gap.from + 1) === this.indexFrom(gap.to);
    return this.gaps.filter((gap) => gap.to - gap.from > 1 && empty(gap)).map((gap) => (gap.from + gap.to) / 2);
  }

  private point(i: number): Point {
    return {
      time: this.times[i]!,
      low: this.resolution === null ? null : this.low[i]!,
      middle: this.middle[i]!,
      high: this.resolution === null ? null : this.high[i]!,
      coverage: this.coverage[i]!,
      open: this.open.has(this.times[i]!),
    };
  }

  private holds(reading: Reading): boolean {
    if (this.head_seq !== undefined) return reading.epoch === this.epoch && reading.seq <= this.head_seq;
    return reading.time <= this.through;
  }

  private reach(answer: SeriesAnswer): void {
    this.epoch = answer.epoch ?? this.epoch;
    this.head_seq = answer.head_seq ?? this.head_seq;
    const last = answer.points[answer.points.length - 1];
    if (last && answer.source === "raw") this.through = Math.max(this.through, last[0]);
  }

  private push([time, low, middle, high, coverage]: SeriesPoint): void {
    this.times.push(time);
    this.low.push(low);
    this.middle.push(middle);
    this.high.push(high);
    this.coverage.push(coverage);
  }

  /** Index of the first point at or after that time. */
  private indexFrom(time: number): number {
    let from = 0;
    let to = this.times.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.times[middle]! < time) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Index of the point of that time, made where there is none. */
  private place(time: number): number {
    const at = this.indexFrom(time);
    if (this.times[at] === time) return at;
    if (at === this.times.length) {
      this.push([time, null, null, null, null]);
      return at;
    }
    this.times.splice(at, 0, time);
    for (const column of [this.low, this.middle, this.high, this.coverage]) column.splice(at, 0, null);
    return at;
  }

  private insert(time: number, value: number): void {
    const at = this.place(time);
    this.low[at] = this.middle[at] = this.high[at] = value;
  }

  private foldPoint([time, low, middle, high]: SeriesPoint): void {
    if (middle === null) return;
    if (this.resolution === null) this.insert(time, middle);
    else this.fold(time, low ?? middle, middle, high ?? middle);
  }

  private fold(time: number, low: number, middle: number, high: number): void {
    const start = Math.floor((time - this.phase) / this.resolution!) * this.resolution! + this.phase;
    const at = this.place(start);
    const open = this.open.get(start);
    // A late reading of a closed window comes as that window's next revision.
    if (!open && this.middle[at] !== null) return;
    const folded = { sum: (open?.sum ?? 0) + middle, count: (open?.count ?? 0) + 1 };
    this.open.set(start, folded);
    this.low[at] = Math.min(this.low[at] ?? low, low);
    this.high[at] = Math.max(this.high[at] ?? high, high);
    this.middle[at] = folded.sum / folded.count;
  }

  private addGap(gap: Gap): void {
    if (!(gap.to > gap.from)) return;
    const touching = this.gaps.find((g) => g.cause === gap.cause && g.from <= gap.to && gap.from <= g.to);
    if (!touching) {
      this.gaps.push({ ...gap });
      return;
    }
    touching.from = Math.min(touching.from, gap.from);
    touching.to = Math.max(touching.to, gap.to);
  }
}

/** Several series on one axis of time, as uPlot wants them: null breaks a line, undefined is another series' time. */
export interface Aligned {
  times: number[];
  /** Per series: middle, low, high; low and high are empty where the series is of single readings. */
  columns: { middle: (Value | undefined)[]; low: (Value | undefined)[]; high: (Value | undefined)[] }[];
}

export function align(all: Series[]): Aligned {
  const breaks = all.map((series) => series.breaks());
  const merged = Float64Array.from(all.flatMap((series, i) => [...series.times, ...breaks[i]!])).sort();
  const times: number[] = [];
  for (const time of merged) if (time !== times[times.length - 1]) times.push(time);
  const columns = all.map((series, i) => {
    const broken = new Set(breaks[i]);
    const spread = (values: Value[]) => {
      let next = 0;
      return times.map((time) => {
        if (series.times[next] === time) {
          next += 1;
          while (series.times[next] === time) next += 1;
          return values[next - 1]!;
        }
        return broken.has(time) ? null : undefined;
      });
    };
    const rolled = series.resolution !== null;
    return { middle: spread(series.middle), low: rolled ? spread(series.low) : [], high: rolled ? spread(series.high) : [] };
  });
  return { times, columns };
}
