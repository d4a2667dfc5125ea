/** Numbers, sizes and spans as people read them. */

const plain = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 6 });
const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
/** What stands where there is no value: never a number. */
export const nothing = "–";

export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return nothing;
  return Math.abs(value) >= 1e6 && Number.isInteger(value) ? whole.format(value) : plain.format(value);
}

/** An average, with the digits that its readings' spread makes worth reading: 48.3 between 45 and 52, 74.0031 between 73.99 and 74.02. */
export function average(value: number | null | undefined, low?: number | null, high?: number | null): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return nothing;
  const spread = (high ?? value) - (low ?? value);
  const scale = spread > 0 ? spread / 10 : Math.abs(value) / 1000;
  const digits = scale > 0 ? Math.min(8, Math.max(0, Math.ceil(-Math.log10(scale)))) : 0;
  return value.toLocaleString("en-GB", { maximumFractionDigits: digits });
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? nothing : whole.format(value);
}

/** A ratio as percent; 100 % only when nothing at all is missing. */
export function percent(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return nothing;
  if (ratio < 1 && ratio > 0.999) return "99.9 %";
  return `${(ratio * 100).toLocaleString("en-GB", { maximumFractionDigits: ratio < 1 && ratio > 0.99 ? 1 : 0 })} %`;
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return nothing;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toLocaleString("en-GB", { maximumFractionDigits: unit && size < 100 ? 1 : 0 })} ${units[unit]}`;
}

/** A span in its two largest units: `850 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function span(ms: number): string {
  if (ms < 0) return span(0);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  const seconds = Math.round(ms / 1000);
  const two = (large: number, largeUnit: string, small: number, smallUnit: string) =>
    small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  return two(Math.floor(minutes / 1440), "d", Math.floor((minutes % 1440) / 60), "h");
}

/** How long ago, in whole seconds: a text that does not flicker. */
export function ago(ms: number): string {
  return ms < 1500 ? "just now" : `${span(Math.max(1000, Math.round(ms / 1000) * 1000))} ago`;
}

/** A rate per second, with as many digits as help. */
export function rate(per_second: number): string {
  if (per_second === 0) return "0 /s";
  const digits = per_second >= 100 ? 0 : per_second >= 10 ? 1 : 2;
  return `${per_second.toLocaleString("en-GB", { maximumFractionDigits: digits })} /s`;
}
