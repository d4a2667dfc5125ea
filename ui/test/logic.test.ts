import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSelection, printSelection } from "../src/address.js";
import { ticks, tickText, ZoneClock } from "../src/clock.js";
import type { WindowDocument } from "../src/contract.js";
import { capacityIn, defaultField, nameIn, numberAt, numericFields } from "../src/fields.js";
import { ago, average, bytes, number, percent, rate, span } from "../src/format.js";
import { perFrame, Queue } from "../src/frame.js";
import { bounds, pan, parseRange, pointsFor, printRange, presets, zoomBy, zoomTo } from "../src/range.js";
import { Rate } from "../src/rate.js";
import { coverageClass, notes, received, trendArrow, withWindow } from "../src/windows.js";

const now = Date.UTC(2026, 1, 17, 10);
const hour = 3_600_000;

test("range: what is printed is read back the same", () => {
  const all = [...presets.map((p) => ({ kind: "live" as const, span: p.span })), { kind: "live" as const, span: 90 * 60_000 }, { kind: "live" as const, span: 95_000 }, zoomTo(now - hour, now, now)];
  for (const range of all) assert.deepEqual(parseRange(printRange(range)), range);
  for (const wrong of ["", "x", "6", "h6", "2026~2025", "~", "99999999999s"]) assert.equal(parseRange(wrong), null, wrong);
});

test("range: more pixels get more points, many keys share them, and never more than the server gives", () => {
  assert.equal(pointsFor(900, 1), 7200);
  assert.equal(pointsFor(200, 1), 2000);
  assert.equal(pointsFor(4000, 1), 10_000);
  assert.equal(pointsFor(900, 32), 450);
});

test("range: zooming keeps live live, and panning to now becomes live again", () => {
  assert.deepEqual(zoomBy({ kind: "live", span: hour }, 0.5, now), { kind: "live", span: hour / 2 });
  const back = pan({ kind: "live", span: hour }, -0.5, now);
  assert.deepEqual(bounds(back, now), { from: now - 1.5 * hour, to: now - 0.5 * hour });
  assert.deepEqual(pan(back, 0.5, now), { kind: "live", span: hour });
});

test("range: a drag of a single pixel gives ten seconds, not nothing", () => {
  const range = zoomTo(now - hour, now - hour + 1, now);
  assert.deepEqual(bounds(range, now).to - bounds(range, now).from, 10_000);
});

test("address: a selection survives a reload, with any key", () => {
  const selection = { stream: "a/b c", field: "/x~1y/é", keys: ["SSD-7", "a&b=c#d", ""], range: parseRange("7d"), window: "5min", utc: true, share: true };
  assert.deepEqual(parseSelection(printSelection(selection)), selection);
  assert.deepEqual(parseSelection("#range=nonsense"), { stream: null, field: null, keys: [], range: null, window: null, utc: false, share: false });
});

test("fields: numbers are found in depth, text that holds one comes last, null is none and 0 is one", () => {
  const data = [{ uid: "x", freespace: null, inner: { "a/b": 0 }, currentfill: "12" }, { freespace: 3 }];
  assert.deepEqual(numericFields(data), ["/inner/a~1b", "/freespace", "/currentfill"]);
  assert.equal(numberAt(data[0], "/inner/a~1b"), 0);
  assert.equal(numberAt(data[0], "/currentfill"), 12);
  assert.equal(numberAt(data[0], "/freespace"), null);
  assert.equal(numberAt({ a: " " }, "/a"), null);
});

test("fields: first what a window computes, else what varies, else the first", () => {
  const data = [{ id: 1, max: 9, value: 3 }, { id: 1, max: 9, value: 4 }];
  assert.equal(defaultField(data, ["/value"]), "/value");
  assert.equal(defaultField(data, ["/other"]), "/value");
  assert.equal(defaultField([{ id: 1 }], []), "/id");
  assert.equal(defaultField([], []), null);
});

test("fields: a capacity of 0 is none, and bounds no free space", () => {
  assert.equal(capacityIn({ maxspace: 200 }, "/currentfill"), 200);
  assert.equal(capacityIn({ maxspace: 0 }, "/currentfill"), null);
  assert.equal(capacityIn({ maxspace: 200 }, "/freespace"), null);
  assert.equal(nameIn({ name: "Hallenbad Oerlikon" }), "Hallenbad Oerlikon");
  assert.equal(nameIn({ name: "" }), null);
});

function window(start: string, revision = 0, coverage: object = {}, rest: object = {}): WindowDocument {
  return {
    window: { name: "5min", kind: "tumbling", start, end: start, duration_seconds: 300, closed_at: start, cut: null, ...rest }, stream: "pools", key: "SSD-7", field: "/currentfill", revision,
    statistics: null, coverage: { expected: 60, received: 60, missing: 0, rejected: 0, late: 0, duplicates: 0, ratio: 1, complete: true, sources: {}, gaps: [], reason: null, ...coverage },
  };
}

test("windows: newest first in their newest revision, in any order of arrival", () => {
  const arrivals = [window("2026-02-17T10:00:00.000Z"), window("2026-02-17T10:10:00.000Z"), window("2026-02-17T10:05:00.000Z", 1), window("2026-02-17T10:05:00.000Z", 0), window("2026-02-17T10:00:00.000Z", 2)];
  const all = arrivals.reduce((list, document) => withWindow(list, document, 48), [] as WindowDocument[]);
  assert.deepEqual(all.map((w) => [w.window.start.slice(11, 16), w.revision]), [["10:10", 0], ["10:05", 1], ["10:00", 2]]);
  assert.equal(withWindow(all, window("2026-02-17T10:15:00.000Z"), 3).length, 3);
});

test("windows: what is missing stands next to the number, with its cause", () => {
  const gaps = [{ from: "2026-02-17T10:00:10.000Z", to: "2026-02-17T10:01:30.000Z", cause: "upstream_silent" }];
  const partial = window("2026-02-17T10:00:00.000Z", 2, { received: 44, complete: false, ratio: 0.73, late: 3, gaps }, { cut: "outage" });
  assert.deepEqual(notes(partial), ["1 min 20 s gap: source silent", "cut by an outage", "3 late", "revision 2"]);
  assert.equal(received(partial), "44 of 60");
  assert.equal(coverageClass(partial), "partial");
  assert.equal(coverageClass(window("x", 0, { received: 0, complete: false })), "missing");
  assert.equal(received(window("x", 0, { expected: null, received: 7 })), "7");
  assert.deepEqual(notes(window("x")), []);
  assert.equal(trendArrow("falling").arrow, "↘");
  assert.equal(trendArrow(null).arrow, "");
});

test("clock: times are those of the zone, through the change to summer time", () => {
  const clock = new ZoneClock("Europe/Zurich");
  assert.equal(clock.time(Date.UTC(2026, 1, 17, 10)), "11:00:00");
  assert.equal(clock.time(Date.UTC(2026, 6, 17, 10)), "12:00:00");
  assert.equal(clock.offset(Date.UTC(2026, 2, 29, 0, 59)), hour);
  assert.equal(clock.offset(Date.UTC(2026, 2, 29, 1)), 2 * hour);
  assert.equal(new ZoneClock("UTC").zoneName(now), "UTC");
  assert.equal(new ZoneClock("Mars/Olympus").unknown_zone, "Mars/Olympus");
  assert.equal(new ZoneClock("Mars/Olympus").time(now), "10:00:00");
});

test("clock: ticks stand at whole hours and at midnights of the zone, also on the days with 23 and 25 hours", () => {
  const clock = new ZoneClock("Europe/Zurich");
  const spring = Date.UTC(2026, 2, 27, 23);
  assert.deepEqual(ticks(clock, spring, spring + 4.5 * 24 * hour, 6).map((t) => `${clock.day(t)} ${clock.minute(t)}`), ["28 Mar 00:00", "29 Mar 00:00", "30 Mar 00:00", "31 Mar 00:00", "1 Apr 00:00"]);
  const autumn = Date.UTC(2026, 9, 23, 22);
  for (const t of ticks(clock, autumn, autumn + 4 * 24 * hour, 6)) assert.equal(clock.minute(t), "00:00");
  assert.equal(tickText(clock, Date.UTC(2026, 1, 16, 23), hour), "17 Feb");
  assert.equal(tickText(clock, Date.UTC(2026, 1, 17, 10), hour), "11:00");
});

test("format: as people read it, and a dash where there is nothing", () => {
  assert.deepEqual([number(0), number(1902), number(74.0312), number(null), number(-3)], ["0", "1,902", "74.0312", "–", "-3"]);
  assert.deepEqual([average(48.333, 45, 52), average(74.00312, 73.99, 74.02), average(1771.4, 1600, 1900), average(0, 0, 0), average(50), average(null)], ["48.3", "74.003", "1,771", "0", "50", "–"]);
  assert.deepEqual([percent(1), percent(0.9999), percent(0.994), percent(0.5), percent(null)], ["100 %", "99.9 %", "99.4 %", "50 %", "–"]);
  assert.deepEqual([bytes(0), bytes(999), bytes(1500), bytes(187_430_912)], ["0 B", "999 B", "1.5 kB", "187 MB"]);
  assert.deepEqual([span(850), span(4000), span(4200), span(200_000), span(7_500_000), span(26 * hour)], ["850 ms", "4 s", "4.2 s", "3 min 20 s", "2 h 5 min", "1 d 2 h"]);
  assert.deepEqual([ago(200), ago(5400), rate(0), rate(21.66)], ["just now", "5 s ago", "0 /s", "21.7 /s"]);
});

test("rate: counts over the last seconds, decays to 0, and survives a counter that begins anew", () => {
  const messages = new Rate(10_000);
  for (let i = 0; i <= 100; i += 1) messages.add(now + i * 100);
  assert.ok(Math.abs(messages.at(now + 10_000)! - 10) < 0.5);
  assert.equal(messages.at(now + 40_000), 0);
  const readings = new Rate(30_000);
  readings.set(now, 1000);
  assert.equal(readings.between(), null);
  readings.set(now + 5000, 1040);
  assert.equal(readings.between(), 8);
  readings.set(now + 10_000, 5);
  assert.equal(readings.between(), null);
});

test("frame: however often something changes, it is drawn once before the next frame", () => {
  const frames: (() => void)[] = [];
  (globalThis as any).requestAnimationFrame = (then: () => void) => frames.push(then);
  let drawn = 0;
  const ask = perFrame(() => (drawn += 1));
  for (let i = 0; i < 1000; i += 1) ask();
  assert.equal(frames.length, 1);
  frames.shift()!();
  assert.equal(drawn, 1);
  ask();
  assert.equal(frames.length, 1);
});

test("frame: a queue runs in order, never more than its width at once", async () => {
  const queue = new Queue(2);
  const began: number[] = [];
  let running = 0;
  let most = 0;
  const ends: (() => void)[] = [];
  for (let i = 0; i < 5; i += 1)
    queue.add(async () => {
      began.push(i);
      most = Math.max(most, (running += 1));
      await new Promise<void>((resolve) => ends.push(resolve));
      running -= 1;
    });
  while (began.length < 5 || ends.length) {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(began, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
});
