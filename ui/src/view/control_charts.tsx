import { useState } from "preact/hooks";
import type { ZoneClock } from "../clock.js";
import { chart_names, isSpread, type Characteristic, type ControlCharts, type Index, type Violation } from "../control.js";
import type { Dashboard } from "../dashboard.js";
import { number } from "../format.js";
import { CharacteristicForm } from "./characteristic_form.js";
import { ControlPlot } from "./control_plot.js";
import { Empty } from "./notices.js";
import { SignForm } from "./sign_form.js";

/** Control charts and what they found. Where no characteristic is, only the way to one. */
export function ControlChartsCard({ dashboard }: { dashboard: Dashboard }) {
  const { control } = dashboard;
  const current = control.current;
  if (!current) return control.available ? <First control={control} /> : null;
  const spread = control.samples.some((s) => s.spread) ? control.samples.find((s) => s.spread)!.spread!.chart : null;
  const clock = dashboard.shownClock;
  const latest = current.limits_versions.at(-1);
  return (
    <section class="card control" aria-labelledby="control-title" data-live={control.live}>
      <div class="card-head">
        <h2 id="control-title">Control chart</h2>
        <button type="button" class="small make-open" aria-expanded={control.making} onClick={() => control.make(!control.making)}>
          New
        </button>
        <label class="control-choice">
          <span class="unseen">Characteristic</span>
          <select class="characteristic" value={String(control.chosen)} onChange={(event) => control.choose(Number(event.currentTarget.value))}>
            {control.characteristics.map((c) => (
              <option key={c.characteristic_id} value={String(c.characteristic_id)}>
                {c.path ? `${c.path} · ` : ""}
                {c.name || `characteristic ${c.characteristic_id}`}
              </option>
            ))}
          </select>
        </label>
      </div>
      <p class="muted control-facts">
        {chart_names[current.chart] ?? current.chart}
        {current.unit ? ` · ${current.unit}` : ""}
        {latest ? (latest.origin.kind === "awaiting" ? " · limits come when there are enough samples" : ` · limits v${latest.version} (${latest.origin.kind})`) : ""}
        {capabilityText("Cpk", current.capability?.cpk)}
        {capabilityText("Ppk", current.capability?.ppk)}
        {current.gathering && current.gathering.gathered > 0 ? ` · ${current.gathering.gathered} of ${current.gathering.of} gathered` : ""}
        {control.live ? "" : " · not live"}
      </p>
      {control.making && <CharacteristicForm control={control} />}
      {control.trouble && <p class="warning">{control.trouble}</p>}
      {current.collection_missed && <p class="warning">A sample is missing: nothing came when one was due.</p>}
      {control.samples.length === 0 ? (
        <Empty title="No samples yet">They come over REST, or from the stream that the characteristic names.</Empty>
      ) : (
        <>
          <ControlPlot control={control} clock={clock} spread={false} title={current.name || "Control chart"} />
          {spread && <p class="muted control-below">{spreadName(spread)}</p>}
          {spread && <ControlPlot control={control} clock={clock} spread={true} title={spreadName(spread)} />}
          <div class="control-foot">
            <button type="button" class="small earlier" disabled={!control.more_before} onClick={() => void control.earlier()}>
              Earlier samples
            </button>
            <span class="muted">
              {control.samples.length} samples since {clock.time(Date.parse(control.samples[0]!.timestamp))}. Drag to zoom, double-click for all.
            </span>
          </div>
        </>
      )}
      <LimitVersions current={current} clock={clock} />
      <Violations dashboard={dashboard} control={control} />
    </section>
  );
}

function First({ control }: { control: ControlCharts }) {
  return (
    <section class="card control-first" aria-labelledby="control-title">
      <div class="card-head">
        <h2 id="control-title">Control charts</h2>
        <button type="button" class="small make-open" aria-expanded={control.making} onClick={() => control.make(!control.making)}>
          New
        </button>
      </div>
      {control.making ? <CharacteristicForm control={control} /> : <p class="muted control-facts">None yet. Say what is to be watched, and its samples are judged as they come.</p>}
    </section>
  );
}

/** What judged, and since when: the newest first. */
function LimitVersions({ current, clock }: { current: Characteristic; clock: ZoneClock }) {
  const versions = current.limits_versions.filter((v) => v.origin.kind !== "awaiting").reverse();
  if (versions.length === 0) return null;
  return (
    <details class="limit-versions">
      <summary>
        Limits <span class="muted">{versions.length === 1 ? "1 version" : `${versions.length} versions`}</span>
      </summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col">From</th>
            <th scope="col">Origin</th>
            <th scope="col" class="figure">Centre</th>
            <th scope="col" class="figure">Sigma</th>
          </tr>
        </thead>
        <tbody>
          {versions.map((v) => (
            <tr key={v.version}>
              <th scope="row">v{v.version}</th>
              <td>{v.from ? clock.full(Date.parse(v.from)) : "the beginning"}</td>
              <td>
                {v.origin.kind}
                {v.origin.samples ? ` from ${v.origin.samples} samples${v.origin.excluded?.length ? ` without ${v.origin.excluded.length}` : ""}` : ""}
              </td>
              <td class="figure">{number(v.centre)}</td>
              <td class="figure">{number(v.sigma)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function Violations({ dashboard, control }: { dashboard: Dashboard; control: ControlCharts }) {
  const open = control.open;
  const clock = dashboard.shownClock;
  const picked = typeof control.picked === "number" ? control.violations.get(control.picked) : undefined;
  const here = open.filter((v) => v.characteristic_id === control.chosen).length;
  return (
    <div class="violations">
      <div class="control-foot">
        <h3>
          Open violations <span class="muted">{open.length}</span>
        </h3>
        {here > 1 && (
          <button type="button" class="small acknowledge-all" aria-pressed={control.picked === "all"} onClick={() => control.pick("all")}>
            Acknowledge the {here} of this chart
          </button>
        )}
      </div>
      {picked && <Acknowledge key={picked.violation_id} control={control} violation={picked} />}
      {control.picked === "all" && here > 0 && <Acknowledge key="all" control={control} violation={here} />}
      {open.length === 0 ? (
        <p class="muted">None: everything that a rule found was acknowledged, or there was nothing.</p>
      ) : (
        <ul>
          {open.slice(0, 50).map((v) => (
            <li key={v.violation_id} data-rule={v.rule_id}>
              <span class={`chip ${v.severity === "CRITICAL" || v.severity === "FATAL" ? "down" : "stale"}`}>{v.severity.toLowerCase()}</span>
              <button type="button" class="link" aria-pressed={control.picked === v.violation_id} onClick={() => control.pick(v.violation_id)}>
                Rule {v.rule_id}: {v.rule_name}
              </button>
              <span class="muted">
                {v.name || `characteristic ${v.characteristic_id}`}
                {isSpread(v.chart) ? ` (${v.chart})` : ""} · <time dateTime={v.timestamp}>{clock.time(Date.parse(v.timestamp))}</time>
                {v.requires_ack ? " · wants an acknowledgement" : ""}
              </span>
            </li>
          ))}
          {open.length > 50 && <li class="muted">and {open.length - 50} more</li>}
          {control.more_open && <li class="muted">Older ones may be open too: they are found over HTTP, by their time.</li>}
        </ul>
      )}
    </div>
  );
}

/** `violation`: one, or how many are open on this chart. */
function Acknowledge({ control, violation }: { control: ControlCharts; violation: Violation | number }) {
  const [exclude, setExclude] = useState(false);
  const [trouble, setTrouble] = useState("");
  const one = typeof violation === "number" ? null : violation;
  const what = one ? `Rule ${one.rule_id}: ${one.rule_name}` : `All ${violation} open violations of this chart`;
  if (one?.acknowledged)
    return (
      <p class="acknowledge" role="status">
        {what}: acknowledged by <b>{one.ack_user}</b>{one.ack_on_behalf_of ? ` for ${one.ack_on_behalf_of}` : ""}, “{one.ack_reason}”.
      </p>
    );
  const head = (
    <p>
      <b>{what}</b>{" "}
      {one && (
        <span class="muted">
          {one.description}; {one.samples.length === 1 ? "1 sample" : `${one.samples.length} samples`}, marked on the chart; limits v{one.limits.version}
        </span>
      )}
    </p>
  );
  return (
    <SignForm
      label={`Acknowledge: ${what}`}
      verb="Acknowledge"
      reason="wanted"
      reasons={control.reasons}
      trouble={trouble}
      head={head}
      onSay={async (said) => setTrouble((await control.acknowledge(one?.violation_id ?? "all", said, exclude)) ?? "")}
      onClose={() => control.pick(null)}
    >
      <label class="check">
        <input type="checkbox" checked={exclude} onChange={(event) => setExclude(event.currentTarget.checked)} /> leave {one ? "the sample" : "their samples"} out
      </label>
    </SignForm>
  );
}

function capabilityText(name: string, index: Index | null | undefined): string {
  return index ? ` · ${name} ${number(Math.round(index.value * 100) / 100)} (${number(Math.round(index.low * 100) / 100)} to ${number(Math.round(index.high * 100) / 100)})` : "";
}

function spreadName(chart: string): string {
  return chart === "R" ? "Range" : chart === "S" ? "Standard deviation" : "Moving range";
}
