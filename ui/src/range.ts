/** The stretch of time that the chart shows. Instants and spans in milliseconds. */

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** `live` ends now and moves on; `fixed` stands still. */
export type Range = { kind: "live"; span: number } | { kind: "fixed"; from: number; to: number };

export const presets = [
  { name: "1h", span: hour, label: "1 hour" },
  { name: "6h", span: 6 * hour, label: "6 hours" },
  { name: "24h", span: day, label: "24 hours" },
  { name: "7d", span: 7 * day, label: "7 days" },
  { name: "30d", span: 30 * day, label: "30 days" },
] as const;

export const standardRange: Range = { kind: "live", span: 6 * hour };
const span_least = 10_000;
const span_most = 10 * 366 * day;

export function bounds(range: Range, now: number): { from: number; to: number } {
  return range.kind === "live" ? { from: now - range.span, to: now } : { from: range.from, to: range.to };
}

/**
 * How many points to ask for: the server then chooses raw readings or the finest window that gives at most so many. Eight points a
 * pixel keep single readings up to some hours, and cost a browser nothing yet; many keys share what a browser joins
 * without a pause.
 */
export function pointsFor(width_px: number, key_count: number): number {
  const one = Math.min(10_000, Math.max(2_000, Math.round(width_px * 8)));
  return key_count <= 2 ? one : Math.max(400, Math.round((2 * one) / key_count));
}

/** What a drag over the chart asks for; too small a piece is widened about its middle. */
export function zoomTo(from: number, to: number, now: number): Range {
  const middle = (from + to) / 2;
  const span = Math.min(span_most, Math.max(span_least, to - from));
  const range = { from: Math.round(middle - span / 2), to: Math.round(middle + span / 2) };
  return { kind: "fixed", ...range, to: Math.min(range.to, Math.max(now, range.from + span_least)) };
}

/** factor below 1 comes nearer. A live range stays live. */
export function zoomBy(range: Range, factor: number, now: number): Range {
  const { from, to } = bounds(range, now);
  const span = Math.min(span_most, Math.max(span_least, (to - from) * factor));
  if (range.kind === "live") return { kind: "live", span: Math.round(span) };
  const middle = (from + to) / 2;
  return zoomTo(middle - span / 2, middle + span / 2, now);
}

/** Moves by a part of the span, back for negative parts. Who comes to now again is live again. */
export function pan(range: Range, part: number, now: number): Range {
  const { from, to } = bounds(range, now);
  const span = to - from;
  const end = to + span * part;
  if (end >= now) return { kind: "live", span };
  return { kind: "fixed", from: Math.round(end - span), to: Math.round(end) };
}

/** `6h`, or `2026-02-17T10:00:00.000Z~2026-02-17T11:00:00.000Z`; `42m` or `95s` for spans that are no preset. */
export function printRange(range: Range): string {
  if (range.kind === "fixed") return `${new Date(range.from).toISOString()}~${new Date(range.to).toISOString()}`;
  const preset = presets.find((p) => p.span === range.span);
  if (preset) return preset.name;
  return range.span % minute === 0 ? `${range.span / minute}m` : `${Math.round(range.span / 1000)}s`;
}

/** Null for what `printRange` never prints. */
export function parseRange(text: string): Range | null {
  const preset = presets.find((p) => p.name === text);
  if (preset) return { kind: "live", span: preset.span };
  const span = /^(\d{1,9})([sm])$/.exec(text);
  if (span) return zoomBy({ kind: "live", span: Number(span[1]) * (span[2] === "m" ? minute : 1000) }, 1, 0);
  const [from, to] = text.split("~").map((time) => Date.parse(time));
  if (from === undefined || to === undefined || !(from < to)) return null;
  return { kind: "fixed", from, to };
}
