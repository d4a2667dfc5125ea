import { useEffect, useRef } from "preact/hooks";
import { spark_span } from "../dashboard.js";
import { faded, palette } from "../palette.js";
import type { Series } from "../series.js";
import { shownTheme } from "../theme.js";

/** The last hours of a key, small: shape only. Drawn by hand, since 32 charts with axes would be drawn for nothing. */
export function Sparkline(props: { series: Series | null; colour: string | null; visible: boolean; now: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { series, colour, visible, now } = props;
  useEffect(() => {
    if (canvas.current && visible) draw(canvas.current, series, colour, now);
  }, [series, series?.version, colour, visible, shownTheme()]);
  return <canvas ref={canvas} class="spark" aria-hidden="true" />;
}

function draw(canvas: HTMLCanvasElement, series: Series | null, chosen: string | null, now: number): void {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d")!;
  pen.scale(scale, scale);
  const colour = chosen ?? palette().text;
  const points = series ? visiblePoints(series, now - spark_span, now) : [];
  const values = points.flatMap((p) => (p.value === null ? [] : [p.value]));
  if (values.length === 0) {
    pen.strokeStyle = palette().grid;
    pen.setLineDash([3, 4]);
    pen.beginPath();
    pen.moveTo(0, height - 3);
    pen.lineTo(width, height - 3);
    pen.stroke();
    return;
  }
  const low = Math.min(...values);
  const high = Math.max(...values);
  // A line that does not move lies low when it is 0, in the middle otherwise.
  const y = (value: number) => (high > low ? height - 3 - ((value - low) / (high - low)) * (height - 6) : high === 0 ? height - 3 : height / 2);
  const x = (time: number) => Math.max(0, ((time - now + spark_span) / spark_span) * (width - 5));
  const shade = pen.createLinearGradient(0, 0, 0, height);
  shade.addColorStop(0, faded(colour, 0.22));
  shade.addColorStop(1, faded(colour, 0));
  for (const piece of pieces(points)) {
    const line = new Path2D();
    piece.forEach((p, i) => (i ? line.lineTo(x(p.time), y(p.value!)) : line.moveTo(x(p.time), y(p.value!))));
    const area = new Path2D(line);
    area.lineTo(x(piece[piece.length - 1]!.time), height);
    area.lineTo(x(piece[0]!.time), height);
    pen.fillStyle = shade;
    pen.fill(area);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.4;
    pen.lineJoin = "round";
    pen.stroke(line);
  }
  const last = points[points.length - 1]!;
  if (last.value === null) return;
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x(last.time), y(last.value), 2.2, 0, 7);
  pen.fill();
}

interface SparkPoint {
  time: number;
  value: number | null;
}

/** At most some hundred points: a small chart shows no more. */
function visiblePoints(series: Series, from: number, to: number): SparkPoint[] {
  const breaks = series.breaks().map((time) => ({ time, value: null }));
  const points: SparkPoint[] = [];
  const step = Math.max(1, Math.floor(series.times.length / 400));
  for (let i = 0; i < series.times.length; i += 1) {
    if (i % step && i < series.times.length - 1) continue;
    const time = series.times[i]!;
    if (time >= from && time <= to + 60_000) points.push({ time, value: series.middle[i]! });
  }
  return breaks.length ? [...points, ...breaks].sort((a, b) => a.time - b.time) : points;
}

function pieces(points: SparkPoint[]): SparkPoint[][] {
  const found: SparkPoint[][] = [];
  let piece: SparkPoint[] = [];
  for (const point of points) {
    if (point.value !== null) piece.push(point);
    else if (piece.length) {
      found.push(piece);
      piece = [];
    }
  }
  if (piece.length) found.push(piece);
  return found;
}
