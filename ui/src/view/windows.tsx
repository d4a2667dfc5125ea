import type { WindowDocument } from "../contract.js";
import type { Dashboard } from "../dashboard.js";
import { average, number, percent, span } from "../format.js";
import { zoomTo } from "../range.js";
import { coverageClass, notes, received, trendArrow } from "../windows.js";
import { Empty } from "./notices.js";

const rows_most = 12;

/** The last closed windows of a key: what they say, and how much of the readings they are computed from. */
export function Windows({ dashboard }: { dashboard: Dashboard }) {
  const all = dashboard.streamWindows();
  const shown = dashboard.shownWindow();
  const { value, error, loading } = dashboard.windows;
  return (
    <section class="card windows" aria-labelledby="windows-title">
      <div class="card-head">
        <h2 id="windows-title">
          Windows <span class="muted">{shown ? windowText(shown.kind, shown.size_ms) : ""}</span>
        </h2>
        <div class="choices">
          {all.length > 1 && (
            <label>
              <span class="unseen">Window</span>
              <select name="window" value={shown?.name} onChange={(event) => dashboard.chooseWindow(event.currentTarget.value)}>
                {all.map((window) => (
                  <option key={window.name} value={window.name}>
                    {window.name}
                  </option>
                ))}
              </select>
            </label>
          )}
          {dashboard.selection.keys.length > 1 && (
            <label>
              <span class="unseen">Series</span>
              <select name="window-key" value={dashboard.windowsOf() ?? ""} onChange={(event) => dashboard.chooseWindowKey(event.currentTarget.value)}>
                {dashboard.selection.keys.map((key) => (
                  <option key={key} value={key}>
                    {dashboard.keys.value?.get(key)?.name ?? key}
                  </option>
                ))}
              </select>
            </label>
          )}
        </div>
      </div>
      {value && value.length > 0 ? (
        <>
          <Timeline documents={value} dashboard={dashboard} />
          <Table documents={value.slice(0, rows_most)} dashboard={dashboard} />
          {error && <p class="warning">Not refreshed: {error}.</p>}
        </>
      ) : error ? (
        <Empty title="The windows cannot be shown">{error}.</Empty>
      ) : loading ? (
        <div class="skeleton" role="status" aria-label="Loading windows" />
      ) : shown ? (
        <Empty title="No window has closed yet">The first one comes when its time is over.</Empty>
      ) : (
        <Empty title="No windows">None is configured for this stream.</Empty>
      )}
    </section>
  );
}

/** Coverage at a glance, oldest left: a full block is a complete window. */
function Timeline({ documents, dashboard }: { documents: WindowDocument[]; dashboard: Dashboard }) {
  const oldest = [...documents].reverse();
  const complete = documents.filter((document) => coverageClass(document) === "complete").length;
  const clock = dashboard.shownClock;
  const first = oldest[0]!;
  return (
    <figure class="timeline">
      <div class="timeline-blocks" role="img" aria-label={`${complete} of the last ${documents.length} windows are complete`}>
        {oldest.map((document) => {
          const ratio = document.coverage.ratio ?? (document.coverage.received ? 1 : 0);
          const text = [clock.minute(Date.parse(document.window.start)), received(document), ...notes(document)].join(" · ");
          return (
            <span key={document.window.start} class={`block ${coverageClass(document)}`} title={text}>
              <span style={{ height: `${Math.max(8, Math.round(Math.min(1, ratio) * 100))}%` }} />
            </span>
          );
        })}
      </div>
      <figcaption>
        <span>{clock.minute(Date.parse(first.window.start))}</span>
        <span>
          {complete} of {documents.length} complete
        </span>
        <span>{clock.minute(Date.parse(documents[0]!.window.end))}</span>
      </figcaption>
    </figure>
  );
}

function Table({ documents, dashboard }: { documents: WindowDocument[]; dashboard: Dashboard }) {
  const clock = dashboard.shownClock;
  return (
    <div class="table-frame" role="region" aria-label="Table of windows" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Window</th>
            <th scope="col">Readings</th>
            <th scope="col" class="figure">Average</th>
            <th scope="col" class="figure wide">Median</th>
            <th scope="col" class="figure wide">Range</th>
            <th scope="col">Trend</th>
            <th scope="col" class="wide">Notes</th>
          </tr>
        </thead>
        <tbody>
          {documents.map((document) => {
            const start = Date.parse(document.window.start);
            const end = Date.parse(document.window.end);
            const { coverage, statistics } = document;
            const told = notes(document);
            const trend = trendArrow(statistics?.trend?.direction);
            const slope = statistics?.trend?.slope_per_minute;
            return (
              <tr key={document.window.start} data-window={document.window.start} data-revision={document.revision}>
                <th scope="row">
                  <button type="button" class="link" title="Show in the chart" onClick={() => dashboard.setRange(zoomTo(start - (end - start) / 2, end + (end - start) / 2, dashboard.now()))}>
                    {clock.minute(start)}–{clock.minute(end)}
                  </button>
                  {told.length > 0 && <span class="narrow notes">{told.join(", ")}</span>}
                </th>
                <td>
                  <span class="coverage">
                    <span class="bar" aria-hidden="true">
                      <span class={coverageClass(document)} style={{ width: `${Math.min(100, (coverage.ratio ?? 1) * 100)}%` }} />
                    </span>
                    <span class={`coverage-text ${coverageClass(document)}`}>
                      <span aria-hidden="true">{coverage.complete ? "✓" : coverage.received ? "◔" : "∅"}</span>{" "}
                      <span class="unseen">{coverage.complete ? "complete, " : "incomplete, "}</span>
                      {received(document)}
                      <span class="wide"> · {percent(coverage.ratio)}</span>
                    </span>
                  </span>
                </td>
                <td class="figure">
                  <b>{average(statistics?.avg, statistics?.min, statistics?.max)}</b>
                  <span class="narrow notes">{range(document)}</span>
                </td>
                <td class="figure wide">{average(statistics?.median, statistics?.min, statistics?.max)}</td>
                <td class="figure wide">{range(document)}</td>
                <td>
                  <span class={`trend ${trend.text}`} title={slope === null || slope === undefined ? trend.text : `${trend.text}, ${number(Number(slope.toPrecision(2)))} a minute`}>
                    <span aria-hidden="true">{trend.arrow}</span> <span class="trend-text">{trend.text}</span>
                  </span>
                </td>
                <td class="wide notes">{told.join(", ")}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function windowText(kind: string, size_ms: number): string {
  return kind === "session" ? "sessions" : `${span(size_ms)}, ${kind}`;
}

function range(document: WindowDocument): string {
  return document.statistics?.count ? `${number(document.statistics.min)} – ${number(document.statistics.max)}` : number(null);
}
