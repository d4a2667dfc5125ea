import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { ZoneClock } from "../clock.js";
import { isSpread, type ControlCharts, type Lines, type Sample } from "../control.js";
import { number } from "../format.js";
import { faded, palette } from "../palette.js";
import { shownTheme } from "../theme.js";
import { axis, text, valueAxis } from "./axes.js";

/** What stands under the samples at `places`: the day too where it is another one than before. */
function timesAt(clock: ZoneClock, samples: Sample[], places: number[]): string[] {
  const first = samples[0], last = samples.at(-1);
  const days = first && last ? clock.day(Date.parse(first.timestamp)) !== clock.day(Date.parse(last.timestamp)) : false;
  let before = "";
  return places.map((place) => {
    const sample = Number.isInteger(place) ? samples[place] : undefined;
    if (!sample) return "";
    const time = Date.parse(sample.timestamp);
    const day = clock.day(time);
    const changed = days && day !== before;
    before = day;
    return changed ? `${day} ${clock.minute(time)}` : days ? clock.minute(time) : clock.time(time);
  });
}

/** One control chart: zones shaded, limits as they were for each sample, points out of control marked. Samples stand side by side, as on paper. */
export function ControlPlot({ control, clock, spread, title }: { control: ControlCharts; clock: ZoneClock; spread: boolean; title: string }) {
  const frame = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const shown = useRef({ control, clock, spread });
  shown.current = { control, clock, spread };
  const shape = `${shownTheme()} ${control.chosen} ${spread}`;
  const drawn = `${control.version} ${control.violations.size} ${[...control.violations.values()].filter((v) => v.acknowledged).length} ${control.picked}`;

  useLayoutEffect(() => {
    const made = new uPlot(options(frame.current!, tip.current!, shown), columns(control.samples, spread), frame.current!);
    chart.current = made;
    const observer = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = frame.current!;
      if (clientWidth > 0) made.setSize({ width: clientWidth, height: clientHeight });
    });
    observer.observe(frame.current!);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [shape]);
  useLayoutEffect(() => {
    chart.current?.setData(columns(control.samples, spread));
  }, [drawn, shape]);

  const out = control.samples.filter((s) => control.violationsAt(s.sample_id, spread).length > 0).length;
  return (
    <div class={`control-plot ${spread ? "spread" : ""}`} role="img" aria-label={`${title}: ${control.samples.length} samples, ${out} with violations`} data-samples={control.samples.length} data-violations={out}>
      <div class="control-frame" ref={frame} />
      <div class="tip control-tip" ref={tip} hidden />
    </div>
  );
}

export function linesOf(sample: Sample, spread: boolean): Lines | null {
  if (sample.excluded) return null;
  if (spread) return sample.spread ?? null;
  return sample.statistic === undefined ? null : (sample as Lines);
}

function columns(samples: Sample[], spread: boolean): uPlot.AlignedData {
  const at = (pick: (lines: Lines) => number) => samples.map((s) => (linesOf(s, spread) ? pick(linesOf(s, spread)!) : null));
  const statistic = samples.map((s) => linesOf(s, spread)?.statistic ?? (spread || s.excluded ? null : s.value));
  // A CUSUM is two lines: both sums.
  const upper = samples.map((s, i) => (!spread && !s.excluded && s.cusum ? s.cusum.upper : statistic[i]!));
  const lower = samples.map((s) => (!spread && !s.excluded && s.cusum ? s.cusum.lower : null));
  return [samples.map((_, i) => i), upper, at((l) => l.centre), at((l) => l.lcl), at((l) => l.ucl), lower];
}

/** Below so many pixels there is no room for numbers beside the lines. */
const narrow = 560;

type Shown = { current: { control: ControlCharts; clock: ZoneClock; spread: boolean } };

function options(frame: HTMLElement, tip: HTMLElement, shown: Shown): uPlot.Options {
  const colours = palette();
  const [line, alarm] = [colours.series[0]!, colours.series[1]!];
  const ratio = devicePixelRatio || 1;
  const samples = () => shown.current.control.samples;
  const lineOf = (i: number) => {
    const sample = samples()[i];
    return sample ? linesOf(sample, shown.current.spread) : null;
  };

  const zones = (plot: uPlot) => {
    const { ctx } = plot;
    const first = Math.max(0, Math.floor(plot.scales.x!.min ?? 0)), last = Math.min(samples().length - 1, Math.ceil(plot.scales.x!.max ?? 0));
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    for (let i = first; i <= last; i++) {
      const l = lineOf(i);
      if (!l) continue;
      // Neighbours with the same lines are one area, so that no seam shows.
      let end = i;
      for (let next = lineOf(end + 1); end < last && next && next.centre === l.centre && next.zone_width === l.zone_width && next.ucl === l.ucl && next.lcl === l.lcl; next = lineOf(end + 1)) end++;
      const [left, right] = [plot.valToPos(i - 0.5, "x", true), plot.valToPos(end + 0.5, "x", true)];
      for (const side of [1, -1])
        for (let zone = 0; zone < 3; zone++) {
          const limit = side > 0 ? l.ucl : l.lcl;
          const edge = (k: number) => (side > 0 ? Math.min(limit, l.centre + k * l.zone_width) : Math.max(limit, l.centre - k * l.zone_width));
          const [inner, outer] = [plot.valToPos(edge(zone), "y", true), plot.valToPos(edge(zone + 1), "y", true)];
          // C, B, A: the further out, the darker.
          ctx.fillStyle = faded(line, [0.06, 0.13, 0.22][zone]!);
          ctx.fillRect(left, Math.min(inner, outer), right - left, Math.abs(outer - inner));
        }
      // The lines go as far as the sample's place: each sample may have its own.
      const neighbour = i > first ? lineOf(i - 1) : null;
      for (const member of ["centre", "lcl", "ucl"] as const) {
        const y = plot.valToPos(l[member], "y", true);
        ctx.strokeStyle = member === "centre" ? colours.text : alarm;
        ctx.lineWidth = (member === "centre" ? 1 : 1.25) * ratio;
        ctx.beginPath();
        if (neighbour) ctx.moveTo(left, plot.valToPos(neighbour[member], "y", true)), ctx.lineTo(left, y);
        else ctx.moveTo(left, y);
        ctx.lineTo(right, y);
        ctx.stroke();
      }
      const before = samples()[i - 1];
      if (before && before.limits_version !== samples()[i]!.limits_version && i > first) {
        ctx.strokeStyle = colours.text;
        ctx.setLineDash([4 * ratio, 4 * ratio]);
        ctx.beginPath();
        ctx.moveTo(left, plot.bbox.top);
        ctx.lineTo(left, plot.bbox.top + plot.bbox.height);
        ctx.stroke();
        ctx.setLineDash([]);
        ctx.fillStyle = colours.text;
        ctx.font = `${11 * ratio}px system-ui, sans-serif`;
        ctx.textAlign = "left";
        ctx.fillText(`limits v${samples()[i]!.limits_version}`, left + 4 * ratio, plot.bbox.top + 12 * ratio);
      }
      i = end;
    }
    ctx.restore();
  };

  const marks = (plot: uPlot) => {
    const { ctx } = plot;
    const { control, spread } = shown.current;
    const picked = typeof control.picked === "number" ? control.violations.get(control.picked) : undefined;
    // What the lines are called, beside them.
    const last = lineOf(Math.min(samples().length - 1, Math.floor(plot.scales.x!.max ?? 0)));
    if (last) {
      ctx.save();
      ctx.fillStyle = colours.text;
      ctx.font = `${11 * ratio}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      ctx.textBaseline = "middle";
      let free = Infinity;
      for (const [name, value] of [["UCL", last.ucl], ["CL", last.centre], ["LCL", last.lcl]] as const) {
        const y = plot.valToPos(value, "y", true);
        if (y < plot.bbox.top || y > plot.bbox.top + plot.bbox.height || Math.abs(y - free) < 11 * ratio) continue;
        ctx.fillText(plot.width < narrow ? name : `${name} ${number(value)}`, plot.bbox.left + plot.bbox.width + 5 * ratio, y);
        free = y;
      }
      ctx.restore();
    }
    const pattern = new Set(picked && isSpread(picked.chart) === spread ? picked.samples.map((s) => s.sample_id) : []);
    ctx.save();
    samples().forEach((sample, i) => {
      const l = lineOf(i);
      const value = l?.statistic ?? (spread ? null : sample.value);
      if (value === null || (plot.scales.x!.min ?? 0) > i || (plot.scales.x!.max ?? 0) < i) return;
      const [x, y] = [plot.valToPos(i, "x", true), plot.valToPos(value, "y", true)];
      if (sample.excluded) {
        ctx.strokeStyle = colours.faint;
        ctx.beginPath();
        ctx.moveTo(x - 4 * ratio, y - 4 * ratio), ctx.lineTo(x + 4 * ratio, y + 4 * ratio);
        ctx.moveTo(x + 4 * ratio, y - 4 * ratio), ctx.lineTo(x - 4 * ratio, y + 4 * ratio);
        ctx.stroke();
        return;
      }
      const here = control.violationsAt(sample.sample_id, spread);
      const signals = (sample.signals ?? []).some((s) => isSpread(s.chart) === spread);
      ctx.beginPath();
      ctx.arc(x, y, (here.length > 0 ? 5 : 2.5) * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = here.length > 0 || signals ? alarm : line;
      ctx.fill();
      if (here.some((v) => !v.acknowledged)) {
        ctx.lineWidth = 2 * ratio;
        ctx.strokeStyle = faded(alarm, 0.45);
        ctx.beginPath();
        ctx.arc(x, y, 8 * ratio, 0, 2 * Math.PI);
        ctx.stroke();
      }
      if (pattern.has(sample.sample_id)) {
        ctx.lineWidth = 1.5 * ratio;
        ctx.strokeStyle = colours.text;
        ctx.strokeRect(x - 7 * ratio, y - 7 * ratio, 14 * ratio, 14 * ratio);
      }
    });
    ctx.restore();
  };

  const point = (plot: uPlot) => {
    const { control, clock, spread } = shown.current;
    const at = plot.cursor.idx;
    const sample = at === null || at === undefined ? undefined : samples()[at];
    if (!sample || (plot.cursor.left ?? -1) < 0) {
      tip.hidden = true;
      return;
    }
    const l = lineOf(at!);
    const time = Date.parse(sample.timestamp);
    const rows = [`${clock.full(time)} · sample ${sample.sample_id}`, sample.excluded ? "excluded" : `${number(l?.statistic ?? sample.value)}${spread || !sample.zone ? "" : ` · ${sample.zone.replaceAll("_", " ")}`}`];
    if (l) rows.push(`limits ${number(l.lcl)} … ${number(l.centre)} … ${number(l.ucl)} (v${sample.limits_version})`);
    tip.replaceChildren(
      ...rows.map((row) => text("p", "", row)),
      ...control.violationsAt(sample.sample_id, spread).map((v) =>
        text("p", "control-rule", `Rule ${v.rule_id}: ${v.rule_name}${v.acknowledged ? ` · acknowledged by ${v.ack_user}` : " · press to acknowledge"}`),
      ),
    );
    tip.hidden = false;
    const left = plot.valToPos(at!, "x") + plot.bbox.left / ratio;
    tip.style.left = `${Math.max(0, Math.min(left + 12, frame.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = "4px";
  };

  return {
    width: frame.clientWidth || 600,
    height: frame.clientHeight || 240,
    legend: { show: false },
    padding: [8, (plot) => (plot.width < narrow ? 34 : 92), 0, 0],
    cursor: { y: false, sync: { key: "control" }, drag: { x: true, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: (_plot, min, max) => [(min ?? 0) - 0.5, (max ?? 1) + 0.5] },
      y: { range: (_plot, min, max) => (min === null || max === null ? [0, 1] : min === max ? [min - 1, max + 1] : [min - (max - min) * 0.08, max + (max - min) * 0.08]) },
    },
    axes: [
      axis(frame, {
        grid: { show: false },
        size: 30,
        space: 90,
        values: (_plot, splits) => timesAt(shown.current.clock, samples(), splits),
      }),
      // The chart below has the same width, so that samples stand under each other.
      { ...valueAxis(frame), size: 64 },
    ],
    series: [
      {},
      { stroke: line, width: 1.25, points: { show: false } },
      // Drawn with the zones; here so that the scale holds them.
      ...Array.from({ length: 3 }, () => ({ stroke: "transparent", width: 0, points: { show: false } })),
      { stroke: line, width: 1.25, points: { show: false } },
    ],
    hooks: {
      // Over the grid: its lines would hide a centre line at a round number.
      drawAxes: [zones],
      draw: [marks],
      setCursor: [point],
      ready: [
        (plot) => {
          plot.over.addEventListener("click", () => {
            const sample = samples()[plot.cursor.idx ?? -1];
            const { control, spread } = shown.current;
            const here = sample ? control.violationsAt(sample.sample_id, spread) : [];
            const wanted = here.find((v) => !v.acknowledged) ?? here[0];
            if (wanted) control.pick(wanted.violation_id);
          });
        },
      ],
    },
  };
}
