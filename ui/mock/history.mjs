// What the mock's log holds: a grid of instants with known outages, so that seq, windows and gaps follow from the time alone.
import { measured, pools, stations, visitors } from "./pools.mjs";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
export const size_5min = 5 * minute;

/** Deterministic history from `began` on, a message each `interval`. `epoch` names the log. */
export class History {
  constructor({ interval, now, days = 31, epoch = "6d2f90c1a4b7e835" }) {
    this.interval = interval;
    this.epoch = epoch;
    this.began = Math.floor(now / day) * day - days * day;
    this.outages = outages(Math.floor(now / hour) * hour);
    this.streams = {
      pools: {
        keys: pools.map((pool) => pool.uid),
        data: (at, time) => {
          const pool = pools[at];
          const currentfill = visitors(pool, time);
          return { uid: pool.uid, name: pool.name, freespace: pool.maxspace - currentfill, maxspace: pool.maxspace, currentfill };
        },
        field: "/currentfill",
        windows: { "5min": size_5min, "1h": hour },
      },
      line: {
        keys: stations.map((station) => station.key),
        data: (at, time) => ({ station: stations[at].key, measured: measured(stations[at], time) }),
        field: "/measured/diameter_mm",
        windows: { "line-5min": size_5min },
      },
    };
  }

  isOut(time) {
    return this.outages.some((outage) => outage.from < time && time < outage.to);
  }

  /** Messages up to and including that instant. */
  messages(time) {
    const all = Math.floor((time - this.began) / this.interval);
    let out = 0;
    for (const outage of this.outages) {
      const first = Math.floor((outage.from - this.began) / this.interval) + 1;
      const last = Math.min(Math.ceil((outage.to - this.began) / this.interval) - 1, all);
      if (last >= first) out += last - first + 1;
    }
    return all - out;
  }

  head(stream, now) {
    return this.messages(now) * this.streams[stream].keys.length;
  }

  /** Seq of a key's event in the message of that instant. */
  seq(stream, at, time) {
    return (this.messages(time) - 1) * this.streams[stream].keys.length + at + 1;
  }

  /** Instants of messages in (from, to]. */
  *instants(from, to, step = 1) {
    const spacing = this.interval * step;
    const first = this.began + Math.max(1, Math.floor((from - this.began) / spacing) + 1) * spacing;
    for (let time = first; time <= to; time += spacing) if (!this.isOut(time)) yield time;
  }

  /** The last message at or before that instant. */
  latest(now) {
    let time = this.began + Math.floor((now - this.began) / this.interval) * this.interval;
    while (this.isOut(time)) time -= this.interval;
    return time;
  }

  event(stream, at, time) {
    const key = this.streams[stream].keys[at];
    const iso = new Date(time).toISOString();
    return {
      seq: this.seq(stream, at, time), id: `${stream}/${key}/${time}`, type: "reading", key, source: "websocket", time: iso, ingested: iso,
      data: this.streams[stream].data(at, time),
    };
  }

  gaps(from, to) {
    return this.outages.filter((outage) => outage.to > from && outage.from < to).map((outage) => [outage.from, outage.to, outage.cause]);
  }

  window(stream, name, at, start, revision = 0) {
    const { keys, field, windows, data } = this.streams[stream];
    const size = windows[name];
    const end = start + size;
    const iso = (ms) => new Date(ms).toISOString();
    // Long windows of long ago are sampled: the mock need not be exact, only plausible.
    const step = Math.max(1, Math.floor(size / this.interval / 75));
    const values = [];
    for (const time of this.instants(start - 1, end - 1, step)) values.push(read(data(at, time), field));
    const expected = Math.round(size / this.interval);
    const out = this.gaps(start, end).map(([from, to, cause]) => ({ from: Math.max(from, start), to: Math.min(to, end), cause }));
    const missing = Math.min(expected, Math.round(out.reduce((sum, gap) => sum + gap.to - gap.from, 0) / this.interval));
    const received = expected - missing;
    const late = chanceOf(start, 11) ? 2 : 0;
    const rejected = chanceOf(start, 17) ? 1 : 0;
    const cut = out.find((gap) => gap.cause === "weir_down") ? "outage" : null;
    return {
      window: { name, kind: "tumbling", start: iso(start), end: iso(end), duration_seconds: size / 1000, closed_at: iso(end + 10_000), cut },
      stream, key: keys[at], field, revision: revision || (late ? 1 : 0),
      statistics: statistics(received ? values : [], received, this.interval * step),
      coverage: {
        expected, received: received - rejected, missing, rejected, rejected_reasons: rejected ? { not_a_number: 1 } : {}, late, duplicates: 0,
        ratio: (received - rejected) / expected, complete: missing === 0 && rejected === 0, connected_seconds: Math.round((received / expected) * (size / 1000)),
        sources: { websocket: received - rejected }, interval_ms: this.interval, interval_learned: false,
        gaps: out.map((gap) => ({ from: iso(gap.from), to: iso(gap.to), cause: gap.cause })), reason: received ? null : "upstream_silent",
      },
    };
  }

  /** Newest first: starts of windows that are closed at `now`. */
  *closed(size, now, from = this.began) {
    for (let start = Math.floor((now - 10_000) / size) * size - size; start >= Math.max(from, this.began); start -= size) yield start;
  }

  series({ stream, key, field, from, to, points, now }) {
    const of = this.streams[stream];
    const at = of?.keys.indexOf(key) ?? -1;
    const answer = { stream, key, field, epoch: this.epoch, head_seq: of ? this.head(stream, now) : 0, resolution_ms: this.interval, source: "raw", points: [], gaps: [] };
    if (at < 0) return answer;
    from = Math.max(from, this.began);
    to = Math.min(to, now);
    answer.gaps = this.gaps(from, to);
    if ((to - from) / this.interval <= points) {
      for (const time of this.instants(from - 1, to)) {
        const value = read(of.data(at, time), field);
        answer.points.push([time, value, value, value, 1]);
      }
      return answer;
    }
    const sizes = Object.entries(of.windows).filter(() => field === of.field);
    const fitting = sizes.find(([, size]) => (to - from) / size <= points) ?? sizes[sizes.length - 1] ?? ["5min", Math.ceil((to - from) / points)];
    const [name, size] = fitting;
    Object.assign(answer, { source: name, resolution_ms: size });
    for (const start of this.closed(size, now, from)) {
      if (start > to) continue;
      answer.points.push(this.point(stream, at, field, start, size));
    }
    answer.points.reverse();
    return answer;
  }

  point(stream, at, field, start, size) {
    const { data } = this.streams[stream];
    let low = Infinity, high = -Infinity, sum = 0, count = 0;
    const step = Math.max(1, Math.floor(size / this.interval / 20));
    for (const time of this.instants(start - 1, start + size - 1, step)) {
      const value = read(data(at, time), field);
      low = Math.min(low, value);
      high = Math.max(high, value);
      sum += value;
      count += 1;
    }
    const out = this.gaps(start, start + size).reduce((all, [from, to]) => all + Math.min(to, start + size) - Math.max(from, start), 0);
    return count ? [start, low, Number((sum / count).toFixed(3)), high, 1 - out / size] : [start, null, null, null, 0];
  }
}

export function read(data, pointer) {
  return pointer.slice(1).split("/").reduce((value, part) => value?.[part], data);
}

function outages(hourNow) {
  const at = (ago, length, cause) => ({ from: hourNow - ago, to: hourNow - ago + length, cause });
  return [
    at(26 * day + 3 * hour, 9 * hour, "weir_down"),
    at(19 * day + 7 * hour, 2.2 * hour, "upstream_closed"),
    at(5 * day + 2 * hour, 70 * minute, "upstream_silent"),
    at(2 * day + 14 * hour, 26 * hour / 8, "weir_down"),
    at(9 * hour, 38 * minute, "upstream_silent"),
    at(2 * hour + 13 * minute, 9 * minute, "upstream_closed"),
    at(40 * minute, 3 * minute, "connecting"),
  ];
}

function chanceOf(start, modulus) {
  return (start / 300_000) % modulus === 0;
}

function statistics(values, count, spacing) {
  if (values.length === 0) return { count: 0, min: null, max: null, avg: null, median: null, first: null, last: null, stddev: null, p95: null, distinct_changes: 0, trend: { slope_per_minute: null, direction: null }, exact: true };
  const sorted = [...values].sort((a, b) => a - b);
  const avg = values.reduce((sum, value) => sum + value, 0) / values.length;
  const mid = (values.length - 1) / 2;
  const stddev = Math.sqrt(values.reduce((sum, value) => sum + (value - avg) ** 2, 0) / Math.max(1, values.length - 1));
  let top = 0, bottom = 0;
  values.forEach((value, i) => {
    top += (i - mid) * (value - avg);
    bottom += (i - mid) ** 2;
  });
  const slope = bottom ? (top / bottom) * (minute / spacing) : 0;
  const direction = Math.abs(slope) * 5 > Math.max(stddev, 1e-9) * 1.5 ? (slope > 0 ? "rising" : "falling") : "steady";
  const median = (sorted[Math.floor(mid)] + sorted[Math.ceil(mid)]) / 2;
  return {
    count, min: sorted[0], max: sorted[sorted.length - 1], avg, median, first: values[0], last: values[values.length - 1], stddev,
    p95: sorted[Math.floor(0.95 * (sorted.length - 1))], distinct_changes: values.filter((value, i) => i && value !== values[i - 1]).length,
    trend: { slope_per_minute: slope, direction }, exact: true,
  };
}
