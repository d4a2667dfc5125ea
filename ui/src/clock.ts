/** Instants as a person in the clock's zone reads them. The log is UTC; only what is shown has a zone. */
export class ZoneClock {
  readonly zone: string;
  /** The zone that was asked for is not known to this browser, so UTC is shown. */
  readonly unknown_zone: string | null;
  private readonly formats = new Map<string, Intl.DateTimeFormat>();

  constructor(zone: string) {
    let known = true;
    try {
      new Intl.DateTimeFormat("en-GB", { timeZone: zone || "UTC" });
    } catch {
      known = false;
    }
    this.zone = known ? zone || "UTC" : "UTC";
    this.unknown_zone = known ? null : zone;
  }

  /** `19:31:22` */
  time(ms: number): string {
    return this.print(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  }
  /** `19:31` */
  minute(ms: number): string {
    return this.print(ms, { hour: "2-digit", minute: "2-digit" });
  }
  /** `21 Nov` */
  day(ms: number): string {
    return this.print(ms, { day: "numeric", month: "short" });
  }
  /** `Sat 21 Nov` */
  weekday(ms: number): string {
    return this.print(ms, { weekday: "short", day: "numeric", month: "short" }).replace(",", "");
  }
  /** `21 Nov 2026, 19:31:22` */
  full(ms: number): string {
    return `${this.print(ms, { day: "numeric", month: "short", year: "numeric" })}, ${this.time(ms)}`;
  }
  /** `CET`, `GMT+1` or `UTC`, as it is at that instant. */
  zoneName(ms: number): string {
    if (this.zone === "UTC") return "UTC";
    const parts = this.format({ timeZoneName: "short" }).formatToParts(ms);
    return parts.find((part) => part.type === "timeZoneName")?.value ?? this.zone;
  }
  /** Milliseconds that the zone is ahead of UTC at that instant. */
  offset(ms: number): number {
    const parts = this.format({
      year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
    }).formatToParts(ms);
    const part = (type: string) => Number(parts.find((p) => p.type === type)!.value);
    const local = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
    return local - Math.floor(ms / 1000) * 1000;
  }

  private print(ms: number, options: Intl.DateTimeFormatOptions): string {
    return this.format(options).format(ms);
  }

  private format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    const name = Object.keys(options).join() + Object.values(options).join();
    let format = this.formats.get(name);
    if (!format) {
      format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: this.zone, hourCycle: "h23" });
      this.formats.set(name, format);
    }
    return format;
  }
}

/** Steps of an axis of time that people count in. */
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const steps = [
  1000, 2000, 5000, 10_000, 15_000, 30_000, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
  hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 3 * day, 7 * day, 14 * day, 28 * day, 91 * day, 364 * day,
];

/**
 * Round times between two instants, at most `most` of them: whole hours and days of the zone, through changes of daylight saving.
 */
export function ticks(clock: ZoneClock, from: number, to: number, most: number): number[] {
  const step = steps.find((s) => (to - from) / s <= most) ?? steps[steps.length - 1]!;
  const found: number[] = [];
  // Counted in local time, and each turned back with the offset that holds there.
  let local = Math.ceil((from + clock.offset(from)) / step) * step;
  for (; found.length <= most + 1; local += step) {
    let instant = local - clock.offset(local - clock.offset(from));
    instant = local - clock.offset(instant);
    if (instant > to) break;
    if (instant >= from && instant !== found[found.length - 1]) found.push(instant);
  }
  return found;
}

/** What stands at a tick: the date where a day begins, else the time, with seconds where ticks are that near. */
export function tickText(clock: ZoneClock, tick: number, step: number): string {
  const midnight = (tick + clock.offset(tick)) % day === 0;
  if (midnight || step >= day) return clock.day(tick);
  return step < minute ? clock.time(tick) : clock.minute(tick);
}
