import type { Dashboard, Slot } from "../dashboard.js";
import { fieldLabel } from "../fields.js";
import { ago, number, percent, span } from "../format.js";
import { isDashed, seriesColour } from "../palette.js";
import { bounds, pan, presets, zoomBy } from "../range.js";
import type { Series } from "../series.js";
import { Empty } from "./notices.js";
import { Plot, type Line } from "./plot.js";

/** The selected keys over time, with what can be done to the time. */
export function ChartCard({ dashboard }: { dashboard: Dashboard }) {
  const { keys, field } = dashboard.selection;
  const rows = dashboard.keys.value;
  const first = rows?.get(keys[0] ?? "");
  const title = keys.length === 1 ? (first?.name ?? keys[0]) : keys.length ? `${keys.length} series` : "Chart";
  return (
    <section class="card chart" id="chart" aria-labelledby="chart-title">
      <div class="card-head">
        <div class="chart-name">
          <h2 id="chart-title">{title}</h2>
          <p class="muted">
            {[keys.length === 1 && first?.name ? keys[0] : null, field ? fieldLabel(field) : null, sourceText(dashboard)].filter(Boolean).join(" · ")}
          </p>
        </div>
        {keys.length === 1 && first && (
          <p class="now" aria-label={`now ${number(first.value)}`}>
            <b>{number(first.value)}</b>
            <span class="muted">
              {first.capacity !== null && first.value !== null ? `${percent(first.value / first.capacity)} of ${number(first.capacity)} · ` : ""}
              {ago(dashboard.now() - first.time)}
            </span>
          </p>
        )}
      </div>
      <Ranges dashboard={dashboard} />
      <Body dashboard={dashboard} />
      {keys.length > 1 && <Legend dashboard={dashboard} />}
    </section>
  );
}

function Ranges({ dashboard }: { dashboard: Dashboard }) {
  const { range } = dashboard;
  const now = dashboard.now();
  const clock = dashboard.shownClock;
  const shown = bounds(range, now);
  return (
    <div class="ranges" role="group" aria-label="Range of time">
      <div class="segments">
        {presets.map((preset) => (
          <button
            key={preset.name}
            type="button"
            aria-pressed={range.kind === "live" && range.span === preset.span}
            title={`Last ${preset.label}`}
            onClick={() => dashboard.setRange({ kind: "live", span: preset.span })}
          >
            {preset.name}
          </button>
        ))}
      </div>
      <div class="moves">
        <button type="button" class="small" aria-label="Earlier" title="Earlier" onClick={() => dashboard.setRange(pan(range, -0.5, now))}>
          ←
        </button>
        <button type="button" class="small" aria-label="Zoom out" title="Zoom out" onClick={() => dashboard.setRange(zoomBy(range, 2, now))}>
          −
        </button>
        <button type="button" class="small" aria-label="Zoom in" title="Zoom in" onClick={() => dashboard.setRange(zoomBy(range, 0.5, now))}>
          +
        </button>
        <button type="button" class="small" aria-label="Later" title="Later" disabled={range.kind === "live"} onClick={() => dashboard.setRange(pan(range, 0.5, now))}>
          →
        </button>
        {range.kind === "fixed" ? (
          <button type="button" class="small to-live" onClick={() => dashboard.setRange({ kind: "live", span: shown.to - shown.from })}>
            Go live
          </button>
        ) : (
          <span class={dashboard.connection.phase === "open" ? "live-mark" : "live-mark away"}>{dashboard.connection.phase === "open" ? "live" : "not live"}</span>
        )}
      </div>
      {canShare(dashboard) && (
        <button type="button" class="small share" aria-pressed={dashboard.selection.share} onClick={() => dashboard.toggleShare()}>
          % of capacity
        </button>
      )}
      {range.kind === "fixed" ? (
        <p class="muted shown-range">
          {clock.full(shown.from)} to {clock.full(shown.to)}
        </p>
      ) : (
        !presets.some((preset) => preset.span === range.span) && <p class="muted shown-range">last {span(range.span)}</p>
      )}
    </div>
  );
}

function Body({ dashboard }: { dashboard: Dashboard }) {
  const { keys } = dashboard.selection;
  const slots = keys.map((key) => dashboard.slots.get(key));
  const ready = slots.some((slot) => slot?.value);
  const loading = dashboard.keys.loading || slots.some((slot) => slot?.loading);
  const failed = slots.find((slot): slot is Slot => !!slot?.error);
  const retry = () => dashboard.reloadSeries();
  if (dashboard.keys.value && dashboard.selection.field === null)
    return keys.length ? <Empty title="No numbers">The events of this stream hold no numeric field.</Empty> : <Empty title="No data yet">A line appears with the first reading.</Empty>;
  if (!ready && (failed || (dashboard.keys.error && !dashboard.keys.value)))
    return (
      <Empty title="The history cannot be shown" onRetry={retry}>
        {failed?.error ?? dashboard.keys.error}.
      </Empty>
    );
  const share = dashboard.selection.share && canShare(dashboard);
  const lines: Line[] = [];
  let unbounded = 0;
  keys.forEach((key, place) => {
    const series = dashboard.slots.get(key)?.value;
    const row = dashboard.keys.value?.get(key);
    const capacity = row?.capacity ?? null;
    if (share && capacity === null) unbounded += 1;
    else if (series) lines.push({ key, name: row?.name ?? key, series, place, capacity, percent_of: share ? capacity : null });
  });
  const { from, to } = bounds(dashboard.range, dashboard.now());
  const none = ready && !loading && lines.every(({ series }) => !holdsAny(series, from, to));
  return (
    <div class="plot-frame" aria-busy={loading}>
      {loading && <div class="loading-line" role="status" aria-label="Loading history" />}
      <Plot dashboard={dashboard} lines={lines} loading={loading} />
      {none && (
        <div class="over-plot">
          <Empty title="No readings in this range">Try a longer one, or go live.</Empty>
        </div>
      )}
      {unbounded > 0 && <p class="hint">Not drawn, since no capacity is known: {unbounded === 1 ? "1 series" : `${unbounded} series`}.</p>}
      {failed && ready && (
        <p class="warning" role="status">
          Not refreshed: {failed.error}. <button type="button" class="small" onClick={retry}>Try again</button>
        </p>
      )}
    </div>
  );
}

/** Several series of which some have a capacity can be compared by how full they are. */
function canShare(dashboard: Dashboard): boolean {
  const { keys } = dashboard.selection;
  return keys.length > 1 && keys.some((key) => dashboard.keys.value?.get(key)?.capacity);
}

function Legend({ dashboard }: { dashboard: Dashboard }) {
  return (
    <ul class="legend" aria-label="Series in the chart">
      {dashboard.selection.keys.map((key, place) => {
        const row = dashboard.keys.value?.get(key);
        return (
          <li key={key}>
            <span class={isDashed(place) ? "swatch dashed" : "swatch"} style={{ borderColor: seriesColour(place) }} />
            <span class="legend-name">{row?.name ?? key}</span> <b>{number(row?.value)}</b>
            <button type="button" class="remove" aria-label={`Remove ${row?.name ?? key} from the chart`} onClick={() => dashboard.toggleKey(key)}>
              ×
            </button>
          </li>
        );
      })}
    </ul>
  );
}

function sourceText(dashboard: Dashboard): string {
  const series = dashboard.slots.get(dashboard.selection.keys[0] ?? "")?.value;
  if (!series) return "";
  return series.resolution === null ? "single readings" : `${span(series.resolution)} windows`;
}

function holdsAny(series: Series, from: number, to: number): boolean {
  return series.times.some((time, i) => time >= from - (series.resolution ?? 0) && time <= to && series.middle[i] !== null);
}

