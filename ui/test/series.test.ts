import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeriesAnswer, WindowDocument } from "../src/contract.js";
import { align, Series } from "../src/series.js";

const minute = 60_000;
const start = Date.UTC(2026, 1, 17, 10);

function raw(points: [number, number][], extra: Partial<SeriesAnswer> = {}): SeriesAnswer {
  return {
    key: "SSD-7", field: "/currentfill", epoch: "e1", head_seq: 100, resolution_ms: 5000, source: "raw",
    points: points.map(([time, value]) => [time, value, value, value, 1]), gaps: [], ...extra,
  };
}
function rolled(values: (number | null)[], extra: Partial<SeriesAnswer> = {}): SeriesAnswer {
  return {
    key: "SSD-7", field: "/currentfill", epoch: "e1", head_seq: 100, resolution_ms: 5 * minute, source: "5min",
    points: values.map((value, i) => [start + i * 5 * minute, value === null ? null : value - 2, value, value === null ? null : value + 2, value === null ? 0 : 1]),
    gaps: [], ...extra,
  };
}
function closed(at: number, values: { min: number; avg: number; max: number } | null, extra: object = {}): WindowDocument {
  return {
    window: { name: "5min", kind: "tumbling", start: new Date(at).toISOString(), end: new Date(at + 5 * minute).toISOString(), duration_seconds: 300, closed_at: "", cut: null },
    stream: "pools", key: "SSD-7", field: "/currentfill", revision: 0, statistics: values as WindowDocument["statistics"],
    coverage: { expected: 60, received: 60, missing: 0, rejected: 0, late: 0, duplicates: 0, ratio: 1, complete: true, sources: {}, gaps: [], reason: null, ...extra },
  };
}
const reading = (seq: number, time: number, value: number, epoch = "e1") => ({ epoch, seq, time, value });

test("series: a live reading that history holds already is not drawn twice, however late it is delivered", () => {
  const series = new Series(raw([[start, 10], [start + 5000, 11]]));
  assert.equal(series.add(reading(100, start + 5000, 11)), false);
  assert.equal(series.add(reading(101, start + 10_000, 12)), true);
  assert.deepEqual(series.times, [start, start + 5000, start + 10_000]);
});

test("series: for any cut between history and live, and any overlap, the line is that of the whole", () => {
  const all = Array.from({ length: 40 }, (_, i) => ({ seq: i + 1, time: start + i * 1000, value: i % 7 }));
  for (let cut = 0; cut <= 40; cut += 1)
    for (const overlap of [0, 1, 5, 40]) {
      const series = new Series(raw(all.slice(0, cut).map((r) => [r.time, r.value]), { head_seq: cut }));
      for (const r of all.slice(Math.max(0, cut - overlap))) series.add({ ...r, epoch: "e1" });
      assert.deepEqual(series.times, all.map((r) => r.time));
      assert.deepEqual(series.middle, all.map((r) => r.value));
    }
});

test("series: without a position in history, its newest time decides what is new", () => {
  const series = new Series(raw([[start, 10]], { epoch: undefined, head_seq: undefined }));
  assert.equal(series.add(reading(7, start, 10)), false);
  assert.equal(series.add(reading(8, start + 1, 10)), true);
});

test("series: a late reading takes its place in time", () => {
  const series = new Series(raw([[start, 1], [start + 10_000, 3]]));
  series.add(reading(101, start + 5000, 2));
  assert.deepEqual(series.middle, [1, 2, 3]);
});

test("series: 0 is a reading", () => {
  const series = new Series(raw([[start, 0]]));
  series.add(reading(101, start + 5000, 0));
  assert.equal(series.last()?.middle, 0);
  assert.equal(series.at(start, 1000)?.middle, 0);
});

test("series: live readings fold into the open window, and the closed window replaces what they made", () => {
  const series = new Series(rolled([50, 52]));
  const open = start + 10 * minute;
  series.add(reading(101, open, 60));
  series.add(reading(102, open + 5000, 40));
  assert.deepEqual(series.at(open + 1000, 0), { time: open, low: 40, middle: 50, high: 60, coverage: null, open: true });
  series.close(closed(open, { min: 39, avg: 49.5, max: 61 }));
  assert.deepEqual(series.at(open + 1000, 0), { time: open, low: 39, middle: 49.5, high: 61, coverage: 1, open: false });
  assert.equal(series.add(reading(103, open + 290_000, 900)), true);
  assert.equal(series.at(open, 0)?.high, 61, "a late reading waits for the window's revision");
  series.close(closed(open, { min: 39, avg: 55, max: 900 }));
  assert.equal(series.at(open, 0)?.high, 900);
});

test("series: the open window begins with the readings between the last closed window and now", () => {
  const open = start + 10 * minute;
  const tail = raw([[open - 5000, 1], [open + 5000, 30], [open + 10_000, 50]], { head_seq: 140 });
  const series = new Series(rolled([50, 52]), tail);
  assert.deepEqual([series.at(open, 0)?.low, series.at(open, 0)?.middle, series.at(open, 0)?.high], [30, 40, 50]);
  assert.equal(series.add(reading(140, open + 10_000, 50)), false, "the tail was read later, so its position counts");
  assert.equal(series.add(reading(141, open + 15_000, 60)), true);
});

test("series: windows of another size tell of gaps only", () => {
  const series = new Series(raw([[start, 1], [start + 5 * minute, 2]]));
  const gap = { from: new Date(start + 10_000).toISOString(), to: new Date(start + 200_000).toISOString(), cause: "upstream_silent" };
  series.close(closed(start, { min: 0, avg: 0, max: 0 }, { gaps: [gap] }));
  assert.deepEqual(series.middle, [1, 2]);
  assert.deepEqual(series.gaps, [{ from: start + 10_000, to: start + 200_000, cause: "upstream_silent" }]);
});

test("series: gaps of neighbouring windows with one cause are one gap", () => {
  const gaps: [number, number, string][] = [[start, start + 100, "weir_down"], [start + 100, start + 200, "weir_down"], [start + 200, start + 300, "connecting"]];
  assert.deepEqual(new Series(raw([], { gaps })).gaps.map((gap) => [gap.from - start, gap.to - start]), [[0, 200], [200, 300]]);
});

test("series: a line is broken in a gap, and where windows are missing or empty", () => {
  const silent = new Series(raw([[start, 1], [start + 60_000, 2]], { gaps: [[start, start + 60_000, "upstream_silent"]] }));
  assert.deepEqual(align([silent]).columns[0]!.middle, [1, null, 2]);
  const missing = rolled([50, 51, 52]);
  missing.points.splice(1, 1);
  assert.deepEqual(align([new Series(missing)]).columns[0]!.middle, [50, null, 52]);
  assert.deepEqual(align([new Series(rolled([50, null, 52]))]).columns[0]!.middle, [50, null, 52]);
});

test("series: aligned with another, a foreign time is skipped and no gap", () => {
  const one = new Series(raw([[start, 1], [start + 2, 3]]));
  const two = new Series(raw([[start + 1, 2]]));
  const aligned = align([one, two]);
  assert.deepEqual(aligned.times, [start, start + 1, start + 2]);
  assert.deepEqual(aligned.columns.map((column) => column.middle), [[1, undefined, 3], [undefined, 2, undefined]]);
});

test("series: what left the range is forgotten", () => {
  const series = new Series(raw(Array.from({ length: 1000 }, (_, i): [number, number] => [start + i, i])));
  series.trim(start + 600);
  assert.equal(series.times[0], start + 600);
  assert.equal(series.middle.length, 400);
});
