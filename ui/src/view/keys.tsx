import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { keys_most } from "../address.js";
import type { Dashboard, KeyRow } from "../dashboard.js";
import { fieldLabel } from "../fields.js";
import { ago, count, number, percent } from "../format.js";
import { seriesColour } from "../palette.js";
import { Empty } from "./notices.js";
import { Sparkline } from "./sparkline.js";

/** Rows of the list; a stream may have a million keys. */
const rows_most = 200;

/** The keys of the stream: what each is at now, and which the chart shows. A listbox: arrows move, Enter shows, Space compares. */
export function Keys({ dashboard }: { dashboard: Dashboard }) {
  const [filter, setFilter] = useState("");
  const [active, setActive] = useState<string | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const { value, error } = dashboard.keys;
  // Rows change with each reading, their order hardly ever.
  const all = useMemo(() => (value ? [...value.values()].sort(byName).map((row) => row.key) : []), [value, dashboard.keys_version]);
  const found = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((key) => words.every((word) => `${key} ${value?.get(key)?.name ?? ""}`.toLowerCase().includes(word)));
  }, [all, filter]);
  const shown = found.slice(0, rows_most).flatMap((key) => value?.get(key) ?? []);
  const selected = dashboard.selection.keys;
  const current = shown.some((row) => row.key === active) ? active : (shown.find((row) => selected.includes(row.key))?.key ?? shown[0]?.key ?? null);

  useEffect(() => {
    list.current?.querySelector('[data-active="true"]')?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const move = (to: number) => setActive(shown[Math.min(shown.length - 1, Math.max(0, to))]?.key ?? null);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = shown.findIndex((row) => row.key === current);
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + 8, PageUp: at - 8 };
    if (event.key in moves) move(moves[event.key]!);
    else if (event.key === "Enter" && current !== null) dashboard.showOnly(current);
    else if (event.key === " " && current !== null) dashboard.toggleKey(current);
    else return;
    event.preventDefault();
  };

  return (
    <section class="card keys" aria-labelledby="keys-title">
      <div class="card-head">
        <h2 id="keys-title">
          Series{" "}
          <span class="muted">{value ? (found.length === all.length ? count(all.length) : `${count(found.length)} of ${count(all.length)}`) : ""}</span>
        </h2>
        {shown.length > 1 &&
          (selected.length > 1 ? (
            <button type="button" class="small" onClick={() => dashboard.showKeys(selected.slice(0, 1))}>
              Show one
            </button>
          ) : (
            <button type="button" class="small" onClick={() => dashboard.showKeys(shown.slice(0, keys_most).map((row) => row.key))}>
              Compare {shown.length > keys_most ? keys_most : "all"}
            </button>
          ))}
      </div>
      <Choices dashboard={dashboard} />
      <input
        type="search"
        class="filter"
        placeholder="Filter by name or key"
        aria-label="Filter series by name or key"
        aria-keyshortcuts="/"
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "Enter") return;
          event.preventDefault();
          if (event.key === "Enter" && current !== null) dashboard.showOnly(current);
          list.current?.focus();
        }}
      />
      {!value && error && <Empty title="The series cannot be shown">{error}.</Empty>}
      {!value && !error && <div class="skeleton" role="status" aria-label="Loading series" />}
      {value && all.length === 0 && (
        <Empty title="No data yet">
          {dashboard.selection.stream ? `Nothing has been written to ${dashboard.selection.stream}.` : "No stream holds data."} The page fills as soon as a reading arrives.
        </Empty>
      )}
      {all.length > 0 && shown.length === 0 && <Empty title="No series matches">No name or key holds “{filter}”.</Empty>}
      {shown.length > 0 && (
        <div
          ref={list}
          class="key-list"
          role="listbox"
          tabIndex={0}
          aria-multiselectable="true"
          aria-labelledby="keys-title"
          aria-describedby="keys-hint"
          aria-activedescendant={current === null ? undefined : optionId(current)}
          onKeyDown={onKeyDown}
        >
          {shown.map((row) => (
            <Row key={row.key} row={row} place={selected.indexOf(row.key)} active={row.key === current} dashboard={dashboard} onActive={setActive} />
          ))}
        </div>
      )}
      <p class="hint" id="keys-hint">
        {found.length > rows_most ? `The first ${rows_most} are listed: filter for others. ` : ""}Click or Enter shows one; the square or Space compares.
      </p>
    </section>
  );
}

function Row(props: { row: KeyRow; place: number; active: boolean; dashboard: Dashboard; onActive: (key: string) => void }) {
  const { row, place, active, dashboard } = props;
  const root = useRef<HTMLDivElement>(null);
  const visible = useVisible(root);
  if (visible) dashboard.wantSpark(row.key);
  const selected = place >= 0;
  const full = row.capacity !== null && row.value !== null ? row.value / row.capacity : null;
  const interval = dashboard.streamFeeds()[0]?.interval_ms ?? null;
  const age = dashboard.now() - row.time;
  const old = interval !== null && age > Math.max(10 * interval, 60_000);
  const colour = selected ? seriesColour(place) : null;
  return (
    <div
      ref={root}
      id={optionId(row.key)}
      role="option"
      aria-selected={selected}
      data-active={active}
      data-key={row.key}
      class={`key${selected ? " selected" : ""}${old ? " old" : ""}`}
      onClick={(event) => {
        props.onActive(row.key);
        const compare = event.ctrlKey || event.metaKey || event.shiftKey || (event.target as HTMLElement).closest(".key-square");
        if (compare) dashboard.toggleKey(row.key);
        else dashboard.showOnly(row.key);
      }}
    >
      <span class="key-square" title="Compare">
        <span class="key-mark" style={colour ? { background: colour, borderColor: colour } : {}} />
      </span>
      <span class="key-name">
        <span class="key-title">{row.name ?? row.key}</span>
        {(row.name || old) && <span class="key-id">{[row.name ? row.key : null, old ? ago(age) : null].filter(Boolean).join(" · ")}</span>}
      </span>
      <Sparkline series={dashboard.sparks.get(row.key) ?? null} colour={colour} visible={visible} now={dashboard.now()} />
      <span class="key-value">
        <b>{number(row.value)}</b>
        {full !== null && (
          <span class="fill" title={`${percent(full)} of ${number(row.capacity)}`}>
            <span class={full > 1 ? "over" : ""} style={{ width: `${Math.min(100, Math.max(0, full * 100))}%` }} />
            <span class="unseen">
              {percent(full)} of {number(row.capacity)}
            </span>
          </span>
        )}
      </span>
    </div>
  );
}

/** Which stream, and which number of it: shown only where there is a choice. */
function Choices({ dashboard }: { dashboard: Dashboard }) {
  const streams = (dashboard.streams.value ?? []).filter((stream) => !stream.name.startsWith("_") && (stream.type === "data" || stream.type === "events"));
  const fields = dashboard.fields();
  const { stream, field } = dashboard.selection;
  if (streams.length < 2 && fields.length < 2) return null;
  return (
    <div class="choices">
      {streams.length > 1 && (
        <label>
          Stream
          <select name="stream" value={stream ?? ""} onChange={(event) => dashboard.chooseStream(event.currentTarget.value)}>
            {streams.map((s) => (
              <option key={s.name} value={s.name}>
                {s.label || s.name}
              </option>
            ))}
          </select>
        </label>
      )}
      {fields.length > 1 && (
        <label>
          Field
          <select name="field" value={field ?? ""} onChange={(event) => dashboard.chooseField(event.currentTarget.value)}>
            {fields.map((f) => (
              <option key={f} value={f}>
                {fieldLabel(f)}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

/** True while the element is near the visible part of its list, so that hidden rows cost no request and no drawing. */
function useVisible(element: { current: HTMLElement | null }): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => setVisible(entries[entries.length - 1]!.isIntersecting), { rootMargin: "120px" });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return visible;
}

function byName(a: KeyRow, b: KeyRow): number {
  return (a.name ?? a.key).localeCompare(b.name ?? b.key) || a.key.localeCompare(b.key);
}

function optionId(key: string): string {
  return `key-${encodeURIComponent(key).replaceAll("%", "_")}`;
}
