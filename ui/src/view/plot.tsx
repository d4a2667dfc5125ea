import { useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { limitText, since } from "../alerts.js";
import { causeText } from "../causes.js";
import { ticks, tickText } from "../clock.js";
import type { Dashboard } from "../dashboard.js";
import { average, number, percent, span } from "../format.js";
import { faded, isDashed, palette, seriesColour } from "../palette.js";
import { bounds, pan, zoomBy, zoomTo } from "../range.js";
import { align, type Gap, type Point, type Series } from "../series.js";
import { shownTheme } from "../theme.js";
import { axis, text, tickNumber, valueAxis } from "./axes.js";

/** One key's line in the chart. `place` gives its colour. */
export interface Line {
  key: string;
  name: string;
  series: Series;
  place: number;
  capacity: number | null;
  /** Drawn as percent of this; null: as it is. */
  percent_of: number | null;
}

/** What the hooks of a drawn chart look at; replaced with each render, so that they never see old lines. */
interface Shown {
  dashboard: Dashboard;
  lines: Line[];
  from: number;
  to: number;
  gaps: Gap[];
  alerts: Episode[];
}

/** When an alert of the drawn series fired; `limit`: the level beyond which it does. */
interface Episode {
  from: number;
  to: number;
  limit: number | null;
  /** The level as words, and all of it. */
  limitText: string;
  text: string;
}

/** More of them at once would hide the line. */
const alerts_most = 20;
const bands_most = 6;
const tips_most = 10;

/** uPlot, fed: made anew when the set of lines or the theme changes, given new data otherwise. */
export function Plot({ dashboard, lines, loading }: { dashboard: Dashboard; lines: Line[]; loading: boolean }) {
  const frame = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const shown = useRef<Shown>(null as unknown as Shown);
  const [said, say] = useState("");

  const { from, to } = bounds(dashboard.range, dashboard.now());
  shown.current = { dashboard, lines, from, to, gaps: shownGaps(dashboard, lines, from, to), alerts: shownAlerts(dashboard, lines, from, to) };
  const marks = shown.current.alerts.map((alert) => `${alert.from} ${Math.floor(alert.to / 1000)} ${alert.limit}`).join();
  const shape = `${shownTheme()} ${lines.map((line) => `${line.place}${line.series.resolution === null ? "r" : "w"}`).join()}`;
  const data = lines.map((line) => `${line.key} ${line.series.version} ${line.percent_of}`).join();
  const versions = useRef<{ series: Series[]; data: string; marks: string }>({ series: [], data: "", marks: "" });

  // In the step that says "drawn", not after the next frame: until then keys would be answered from the chart before this one.
  useLayoutEffect(() => {
    const made = new uPlot(options(frame.current!, tip.current!, shown), columns(lines), frame.current!);
    chart.current = made;
    versions.current = { series: lines.map((line) => line.series), data, marks };
    const observer = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = frame.current!;
      if (clientWidth === 0) return;
      shown.current.dashboard.chart_width = clientWidth;
      made.setSize({ width: clientWidth, height: clientHeight });
    });
    observer.observe(frame.current!);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [shape]);

  useLayoutEffect(() => {
    const { series, data: drawn, marks: marked } = versions.current;
    const same = drawn === data && lines.every((line, i) => line.series === series[i]);
    if (!chart.current) return;
    if (!same) {
      chart.current.setData(columns(lines), false);
    }
    if (same && marked !== marks) chart.current.redraw(false);
    versions.current = { series: lines.map((line) => line.series), data, marks };
    chart.current.batch(() => chart.current!.setScale("x", { min: from, max: to }));
  });

  const step = (by: number) => {
    const made = chart.current;
    if (!made || made.data[0].length === 0) return;
    const [first, last] = [made.valToIdx(from), made.valToIdx(to)];
    const at = Math.min(last, Math.max(first, (made.cursor.idx ?? last + 1) + by));
    const time = made.data[0][at]!;
    made.setCursor({ left: made.valToPos(time, "x"), top: made.over.clientHeight / 2 });
    say(spoken(shown.current, time));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const { range } = dashboard;
    const now = dashboard.now();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") event.shiftKey ? dashboard.setRange(pan(range, -0.5, now)) : step(-1);
    else if (event.key === "ArrowRight") event.shiftKey ? dashboard.setRange(pan(range, 0.5, now)) : step(1);
    else if (event.key === "+" || event.key === "=") dashboard.setRange(zoomBy(range, 0.5, now));
    else if (event.key === "-") dashboard.setRange(zoomBy(range, 2, now));
    else if (event.key === "0" || event.key === "Escape") dashboard.setRange({ kind: "live", span: to - from });
    else return;
    event.preventDefault();
  };

  return (
    <div
      class="plot"
      tabIndex={0}
      role="group"
      aria-roledescription="chart"
      aria-label={`Chart of ${lines.map((line) => line.name).join(", ") || "nothing yet"}`}
      aria-describedby="plot-keys"
      data-points={lines.reduce((sum, line) => sum + line.series.times.length, 0)}
      data-lines={lines.length}
      data-resolution={lines[0]?.series.resolution ?? "raw"}
      data-alerts={shown.current.alerts.length}
      data-range={Math.round(to - from)}
      data-state={loading ? "loading" : "drawn"}
      onKeyDown={onKeyDown}
    >
      <div ref={frame} class="plot-canvas" />
      <div ref={tip} class="tip" hidden />
      <p class="unseen" id="plot-keys">
        Left and right arrows read values, with Shift they move in time; plus and minus zoom; 0 goes live. Drag over the chart to zoom.
      </p>
      <p class="unseen" aria-live="polite">
        {said}
      </p>
    </div>
  );
}

function columns(lines: Line[]): uPlot.AlignedData {
  const aligned = align(lines.map((line) => line.series));
  const data: (number | null | undefined)[][] = [];
  aligned.columns.forEach(({ middle, low, high }, i) => {
    const line = lines[i]!;
    for (const column of line.series.resolution === null ? [middle] : [middle, low, high])
      data.push(line.percent_of === null ? column : column.map((value) => (value === null || value === undefined ? value : drawn(line, value))));
  });
  return [aligned.times, ...data] as uPlot.AlignedData;
}

/** A value as it stands on the chart's scale. */
function drawn(line: Line, value: number): number {
  return line.percent_of === null ? value : (100 * value) / line.percent_of;
}

function options(frame: HTMLElement, tip: HTMLElement, shown: { current: Shown }): uPlot.Options {
  const { lines } = shown.current;
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const line of lines) {
    const stroke = seriesColour(line.place);
    const one = lines.length === 1;
    series.push({
      stroke,
      width: !one ? 1.5 : line.series.times.length > 2 * frame.clientWidth ? 1.25 : 2,
      ...(isDashed(line.place) ? { dash: [6, 4] } : {}),
      points: { show: false },
      ...(one && line.series.resolution === null ? { fill: (u) => areaFill(u, stroke) } : {}),
    });
    if (line.series.resolution === null) continue;
    const at = series.length;
    const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
    series.push({ ...edge }, { ...edge });
    if (lines.length <= bands_most) bands.push({ series: [at + 1, at], fill: faded(stroke, one ? 0.18 : 0.1) });
  }
  return {
    width: frame.clientWidth || 300,
    height: frame.clientHeight || 300,
    ms: 1,
    padding: [12, 10, 0, 0],
    legend: { show: false },
    series,
    bands,
    scales: {
      x: { time: true, range: () => [shown.current.from, shown.current.to] },
      y: { range: (_u, low, high) => valueRange(shown.current, low, high) },
    },
    axes: [
      axis(frame, {
        size: 30,
        // A text at the very edge would be cut off.
        splits: (u, _axis, min, max) => {
          const edge = ((max - min) * 16) / Math.max(100, u.width);
          return ticks(shown.current.dashboard.shownClock, min, max, Math.max(2, Math.floor(u.width / 88))).filter((tick) => tick < max - edge);
        },
        values: (_u, splits) => {
          const step = splits.length > 1 ? splits[1]! - splits[0]! : 60_000;
          return splits.map((tick) => tickText(shown.current.dashboard.shownClock, tick, step));
        },
      }),
      valueAxis(frame, (value, ticks) => tickNumber(value, ticks) + (shown.current.lines[0]?.percent_of ? " %" : "")),
    ],
    cursor: {
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => null },
      points: { size: 8, width: 2, stroke: (u, i) => String((u.series[i]!.stroke as () => string)()), fill: () => (shownTheme() === "dark" ? "#131e24" : "#ffffff") },
      y: false,
    },
    hooks: {
      drawClear: [(u) => drawGaps(u, shown.current)],
      draw: [(u) => drawAlerts(u, shown.current), (u) => drawMarks(u, shown.current)],
      setCursor: [(u) => showTip(u, tip, shown.current)],
      setSelect: [
        (u) => {
          const { left, width } = u.select;
          if (width < 4) return;
          const { dashboard } = shown.current;
          dashboard.setRange(zoomTo(u.posToVal(left, "x"), u.posToVal(left + width, "x"), dashboard.now()));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      ready: [
        (u) => {
          u.over.addEventListener("dblclick", () => {
            const { dashboard, from, to } = shown.current;
            dashboard.setRange(zoomBy(dashboard.range.kind === "live" ? dashboard.range : { kind: "fixed", from, to }, 2, dashboard.now()));
          });
          u.over.addEventListener("mouseleave", () => (tip.hidden = true));
          // A finger reads values by sliding; up and down still scroll the page (touch-action in style.css).
          u.over.addEventListener("pointermove", (event) => {
            if (event.pointerType !== "touch") return;
            const box = u.over.getBoundingClientRect();
            u.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
          });
        },
      ],
    },
  };
}

/** From 0 where the values are amounts that come near it; up to the capacity where they do. */
function valueRange({ lines }: Shown, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  let [from, to] = [low, high];
  const capacity = lines.length === 1 ? lines[0]!.capacity : null;
  if (capacity !== null && to > 0.6 * capacity && to < 1.1 * capacity) to = Math.max(to, capacity);
  if (from >= 0 && from < 0.6 * to) from = 0;
  const room = to > from ? (to - from) * 0.08 : Math.max(1, Math.abs(to) * 0.1);
  return [from === 0 ? 0 : from - room, to + room];
}

function areaFill(u: uPlot, colour: string): CanvasGradient | string {
  const { top, height } = u.bbox;
  if (!Number.isFinite(height) || height <= 0) return "transparent";
  const shade = u.ctx.createLinearGradient(0, top, 0, top + height);
  shade.addColorStop(0, faded(colour, 0.22));
  shade.addColorStop(1, faded(colour, 0.02));
  return shade;
}

/** Gaps that history tells, and the silence that lasts now. */
function shownGaps(dashboard: Dashboard, lines: Line[], from: number, to: number): Gap[] {
  const gaps: Gap[] = [];
  const add = (gap: Gap) => {
    if (gap.to < from || gap.from > to) return;
    const same = gaps.find((g) => g.cause === gap.cause && Math.abs(g.from - gap.from) < 1000 && Math.abs(g.to - gap.to) < 1000);
    if (!same) gaps.push(gap);
  };
  for (const line of lines) for (const gap of line.series.gaps) add(gap);
  for (const feed of dashboard.streamFeeds())
    if ((feed.state === "stale" || feed.state === "down") && feed.last_reading)
      add({ from: Date.parse(feed.last_reading), to: dashboard.now(), cause: feed.state === "down" ? "feed is down" : "upstream_silent" });
  return gaps;
}

function drawGaps(u: uPlot, { gaps }: Shown): void {
  const { ctx: pen } = u;
  const { left, top, width, height } = u.bbox;
  const colours = palette();
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  for (const gap of gaps) {
    const from = u.valToPos(gap.from, "x", true);
    const to = Math.max(from + devicePixelRatio, u.valToPos(gap.to, "x", true));
    pen.fillStyle = colours.gap;
    pen.fillRect(from, top, to - from, height);
    pen.fillStyle = colours.gapEdge;
    pen.fillRect(from, top, to - from, 3 * devicePixelRatio);
  }
  pen.restore();
}

/** When alerts of a single series fired, as they are told; those of now go on. */
function shownAlerts(dashboard: Dashboard, lines: Line[], from: number, to: number): Episode[] {
  const { stream, field } = dashboard.selection;
  const line = lines.length === 1 ? lines[0]! : null;
  if (!line) return [];
  const now = dashboard.now();
  const found: Episode[] = [];
  for (const alert of dashboard.alerts.firedAt(stream, line.key, field)) {
    const begin = since(alert);
    const end = alert.resolved_at ? Date.parse(alert.resolved_at) : now;
    if (end < from || begin > to) continue;
    const text = `${alert.title || alert.name}, ${alert.state === "resolved" ? "fired for" : "firing for"} ${span(Math.max(1000, Math.floor((end - begin) / 1000) * 1000))}`;
    // Without a field it may be about another one than is drawn.
    const limit = alert.kind === "threshold" && alert.metric ? alert.threshold : null;
    found.push({ from: begin, to: end, limit, limitText: limitText(alert), text });
  }
  return found.slice(-alerts_most);
}

/** A bar at the foot for as long as one fired, a thin line where it began, and its limit as a dashed line. */
function drawAlerts(u: uPlot, { alerts, lines }: Shown): void {
  if (alerts.length === 0) return;
  const { ctx: pen } = u;
  const { left, top, width, height } = u.bbox;
  const colour = palette().alert;
  const pixel = devicePixelRatio;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  for (const alert of alerts) {
    const from = u.valToPos(alert.from, "x", true);
    const to = Math.max(from + 2 * pixel, u.valToPos(alert.to, "x", true));
    pen.fillStyle = faded(colour, 0.06);
    pen.fillRect(from, top, to - from, height);
    pen.fillStyle = faded(colour, 0.45);
    pen.fillRect(Math.round(from), top, pixel, height);
    pen.fillStyle = colour;
    pen.fillRect(from, top + height - 3 * pixel, to - from, 3 * pixel);
  }
  pen.strokeStyle = faded(colour, 0.7);
  pen.fillStyle = colour;
  pen.setLineDash([4 * pixel, 4 * pixel]);
  pen.lineWidth = pixel;
  pen.font = `${11 * pixel}px system-ui, sans-serif`;
  pen.textAlign = "right";
  const limits = new Map(alerts.filter((alert) => alert.limit !== null).map((alert) => [alert.limitText, alert.limit!]));
  for (const [text, limit] of limits) {
    const y = Math.round(u.valToPos(drawn(lines[0]!, limit), "y", true));
    if (y < top || y > top + height) continue;
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.stroke();
    pen.fillText(text, left + width - 8 * pixel, y - 6 * pixel);
  }
  pen.restore();
}

/** The capacity of a single series, and where each live line has come to. */
function drawMarks(u: uPlot, { lines, from, to, dashboard }: Shown): void {
  const { ctx: pen } = u;
  const { left, top, width, height } = u.bbox;
  const colours = palette();
  pen.save();
  const capacity = lines.length === 1 ? lines[0]!.capacity : null;
  if (capacity !== null && capacity <= (u.scales.y!.max ?? 0)) {
    const y = Math.round(u.valToPos(capacity, "y", true));
    pen.strokeStyle = colours.faint;
    pen.setLineDash([6 * devicePixelRatio, 5 * devicePixelRatio]);
    pen.lineWidth = devicePixelRatio;
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colours.text;
    pen.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillText(`capacity ${number(capacity)}`, left + 8 * devicePixelRatio, y - 6 * devicePixelRatio);
  }
  if (dashboard.range.kind === "live")
    for (const line of lines) {
      const last = line.series.last();
      if (!last || last.middle === null || last.time < from || last.time > to + 5_000) continue;
      const x = Math.min(left + width, u.valToPos(last.time, "x", true));
      const y = u.valToPos(drawn(line, last.middle), "y", true);
      if (y < top || y > top + height) continue;
      pen.fillStyle = faded(seriesColour(line.place), 0.25);
      pen.beginPath();
      pen.arc(x, y, 7 * devicePixelRatio, 0, 7);
      pen.fill();
      pen.fillStyle = seriesColour(line.place);
      pen.beginPath();
      pen.arc(x, y, 3.5 * devicePixelRatio, 0, 7);
      pen.fill();
    }
  pen.restore();
}

interface TipRow {
  colour: string;
  name: string;
  value: string;
  more: string;
  /** What the value stands for, as a text: an instant, or the bounds of a window. */
  when: string;
}

/** What is known at that instant, of each line that knows something. */
function rowsAt({ dashboard, lines, from, to }: Shown, time: number): TipRow[] {
  const clock = dashboard.shownClock;
  const reach = Math.max(5_000, (to - from) / 100);
  const rows: (TipRow & { order: number })[] = [];
  for (const line of lines) {
    const point = line.series.at(time, reach);
    if (!point) continue;
    const parts: string[] = [];
    if (line.percent_of !== null && point.middle !== null) parts.push(`${average(point.middle, point.low, point.high)} of ${number(line.percent_of)}`);
    else if (point.low !== null && point.high !== null) parts.push(`${number(point.low)} to ${number(point.high)}`);
    if (point.open) parts.push("so far");
    else if (point.coverage !== null && line.series.resolution !== null && point.coverage < 1) parts.push(`${percent(point.coverage)} covered`);
    rows.push({
      colour: seriesColour(line.place),
      name: line.name,
      value: valueText(line, point),
      more: parts.join(", "),
      when: line.series.resolution === null ? clock.full(point.time) : `${clock.full(point.time).replace(/:00$/, "")} – ${clock.minute(point.time + line.series.resolution)}`,
      order: point.middle === null ? -Infinity : drawn(line, point.middle),
    });
  }
  return lines.length > 1 ? rows.sort((a, b) => b.order - a.order) : rows;
}

function valueText(line: Line, point: Point): string {
  if (point.middle === null) return "no readings";
  if (line.percent_of !== null) return percent(point.middle / line.percent_of);
  return line.series.resolution === null ? number(point.middle) : average(point.middle, point.low, point.high);
}

function gapsAt({ gaps }: Shown, time: number): string[] {
  return gaps.filter((gap) => gap.from <= time && time <= gap.to).map((gap) => `${causeText(gap.cause)} for ${span(gap.to - gap.from)}`);
}

function alertsAt({ alerts }: Shown, time: number): string[] {
  return alerts.filter((alert) => alert.from <= time && time <= alert.to).map((alert) => alert.text);
}

function showTip(u: uPlot, tip: HTMLElement, shown: Shown): void {
  const left = u.cursor.left ?? -1;
  if (left < 0) {
    tip.hidden = true;
    return;
  }
  const time = u.posToVal(left, "x");
  const rows = rowsAt(shown, time);
  const gaps = gapsAt(shown, time);
  const alerts = alertsAt(shown, time);
  if (rows.length === 0 && gaps.length === 0 && alerts.length === 0) {
    tip.hidden = true;
    return;
  }
  const parts: HTMLElement[] = [text("p", "tip-time", rows[0]?.when ?? shown.dashboard.shownClock.full(time))];
  for (const row of rows.slice(0, tips_most)) {
    const line = text("p", "tip-row", "");
    const mark = text("span", "tip-mark", "");
    mark.style.background = row.colour;
    line.append(mark, ...(shown.lines.length > 1 ? [text("span", "tip-name", row.name)] : []), text("b", "", row.value), text("span", "tip-more", row.more));
    parts.push(line);
  }
  if (rows.length > tips_most) parts.push(text("p", "tip-more", `and ${rows.length - tips_most} more`));
  for (const gap of gaps) parts.push(text("p", "tip-gap", `Gap: ${gap}`));
  for (const alert of alerts) parts.push(text("p", "tip-alert", `Alert: ${alert}`));
  tip.replaceChildren(...parts);
  tip.hidden = false;
  // Beside the cursor, on the side where there is room.
  const at = left + u.over.offsetLeft;
  const width = tip.offsetWidth;
  const right = at + 14 + width < u.width;
  tip.style.transform = `translate(${Math.max(0, right ? at + 14 : at - 14 - width)}px, 8px)`;
}

function spoken(shown: Shown, time: number): string {
  const rows = rowsAt(shown, time).slice(0, 3);
  const values = rows.map((row) => `${row.name} ${row.value}${row.more ? ` (${row.more})` : ""}`);
  return [rows[0]?.when ?? shown.dashboard.shownClock.full(time), ...values, ...gapsAt(shown, time).map((gap) => `gap, ${gap}`), ...alertsAt(shown, time).map((alert) => `alert, ${alert}`)].join("; ");
}
