import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { lastUser, reasonText } from "../acknowledgement.js";
import { alerts_drawn, isOpen, lasting, shelf_times, since, valueText, type Deed } from "../alerts.js";
import type { ZoneClock } from "../clock.js";
import type { Alert } from "../contract.js";
import type { Dashboard } from "../dashboard.js";
import { span } from "../format.js";
import { SignForm } from "./sign_form.js";

/** What fires or waits to, then what was resolved last. Nothing at all where there has never been one. */
export function AlertsCard({ dashboard }: { dashboard: Dashboard }) {
  const { alerts } = dashboard;
  const card = useRef<HTMLElement>(null);
  // Rows change places while somebody types in one of them: what had the focus gets it back.
  const focused = document.activeElement as HTMLElement | null;
  useLayoutEffect(() => {
    if (focused && document.activeElement === document.body && card.current?.contains(focused)) focused.focus({ preventScroll: true });
  });
  const { open, resolved } = alerts;
  const shown = [...open, ...resolved].slice(0, alerts_drawn);
  if (shown.length === 0) return null;
  const left = open.length + resolved.length - shown.length;
  const calling = alerts.calling.length;
  return (
    <section class="card alerts" id="alerts" aria-labelledby="alerts-title" tabIndex={-1} ref={card} data-live={alerts.live} data-open={open.length}>
      <div class="card-head">
        <h2 id="alerts-title">Alerts</h2>
        <p class="muted alert-counts">
          {open.length === 0 ? "none open" : `${open.length} open`}
          {calling > 0 && ` · ${calling} not acknowledged`}
          {!alerts.live && " · not live"}
        </p>
      </div>
      {alerts.trouble && <p class="warning" role="status">Not refreshed: {alerts.trouble}.</p>}
      <ul class="alert-list">
        {shown.map((alert, i) => (
          <Row key={alert.id} dashboard={dashboard} alert={alert} first={!isOpen(alert) && i === open.length} />
        ))}
        {left > 0 && <li key="more" class="muted alert-more">and {left} more</li>}
        {alerts.more_open && <li key="open" class="muted alert-more">More are open than are kept here: they are found over HTTP.</li>}
      </ul>
    </section>
  );
}

/** `first`: of those that are resolved. */
function Row({ dashboard, alert, first }: { dashboard: Dashboard; alert: Alert; first: boolean }) {
  const { alerts } = dashboard;
  const row = useRef<HTMLLIElement>(null);
  const clock = dashboard.shownClock;
  const now = dashboard.now();
  const shelved = alerts.isShelved(alert);
  const deed = alerts.picked?.id === alert.id ? alerts.picked.deed : null;
  const refused = alerts.refused.get(alert.id) ?? "";
  const long = lasting(alert, now);
  const resolved_at = alert.resolved_at ? Date.parse(alert.resolved_at) : null;
  const when = resolved_at ?? since(alert);
  // A form that is done or closed takes its focus with it: the row keeps the place for who goes by keyboard.
  const before = useRef<Deed | null>(null);
  useLayoutEffect(() => {
    if (before.current && !deed && document.activeElement === document.body) row.current!.focus({ preventScroll: true });
    before.current = deed;
  }, [deed]);
  const unshelve = () => {
    const user = lastUser();
    if (user) void alerts.unshelve(alert.id, user);
    else alerts.pick(alert.id, "unshelve");
  };
  const state = alert.state === "firing" && shelved ? "shelved" : alert.state;
  return (
    <li ref={row} tabIndex={-1} class={`alert ${state}${alert.acknowledged ? " known" : ""}${first ? " first" : ""}`} data-alert={alert.id} data-state={alert.state} data-severity={alert.severity}>
      <span class={`chip severity ${alert.severity}-severity`}>{alert.severity || "alert"}</span>
      <div class="alert-what">
        <p class="alert-title">
          {alert.title || alert.name}
        </p>
        <p class="muted">
          {alert.key !== "" && (
            <>
              {alert.stream ? (
                <button type="button" class="link alert-key" title={`Show ${alert.key} of ${alert.stream}`} onClick={() => showSeries(dashboard, alert)}>
                  {alert.key}
                </button>
              ) : (
                alert.key
              )}
              {" · "}
            </>
          )}
          <span class="alert-value">{valueText(alert, (text) => clockText(clock, now, text))}</span>
          {alert.rule && ` · rule ${alert.rule}`}
        </p>
        {alert.acknowledged && (
          <p class="muted alert-known">
            Acknowledged by <b>{alert.ack_user}</b>
            {alert.ack_on_behalf_of ? ` for ${alert.ack_on_behalf_of}` : ""}
            {alert.acknowledged_at ? ` ${clockText(clock, now, alert.acknowledged_at)}` : ""}
            {said(alert, alerts.reasons)}
          </p>
        )}
        {shelved && (
          <p class="muted alert-shelf">
            Shelved until {clockText(clock, now, alert.shelved_until!)}
            {alert.shelved_by ? ` by ${alert.shelved_by}` : ""}
            {alert.shelf_reason ? `: “${alert.shelf_reason}”` : ""}
          </p>
        )}
      </div>
      <p class="alert-when">
        <span class="alert-state">
          {alert.state === "resolved" && long > 0 ? "fired" : alert.state} {long > 0 && <b>{lastingText(long)}</b>}
        </span>
        {when > 0 && (
          <span class="muted">
            {resolved_at === null ? "since " : "resolved "}
            <time dateTime={new Date(when).toISOString()}>{instantText(clock, now, when)}</time>
          </span>
        )}
      </p>
      <div class="alert-deeds" role="group" aria-label={`What to do about ${alert.title || alert.name}`}>
        {!alert.acknowledged && alert.triggered_at !== null && (
          <button type="button" class="small" aria-expanded={deed === "acknowledge"} onClick={() => alerts.pick(alert.id, "acknowledge")}>
            Acknowledge
          </button>
        )}
        {isOpen(alert) && !shelved && (
          <button type="button" class="small" aria-expanded={deed === "shelve"} onClick={() => alerts.pick(alert.id, "shelve")}>
            Shelve
          </button>
        )}
        {shelved && (
          <button type="button" class="small" onClick={unshelve}>
            Unshelve
          </button>
        )}
      </div>
      {deed && <DeedForm key={deed} dashboard={dashboard} alert={alert} deed={deed} />}
      {!deed && refused && (
        <p class="warning alert-refused" role="alert">
          {refused}
        </p>
      )}
    </li>
  );
}

function DeedForm({ dashboard, alert, deed }: { dashboard: Dashboard; alert: Alert; deed: Deed }) {
  const { alerts } = dashboard;
  const [duration, setDuration] = useState<string>("1h");
  const name = alert.title || alert.name;
  const common = { focus: true, busy: alerts.asking === alert.id, trouble: alerts.refused.get(alert.id) ?? "", onClose: () => alerts.pick(null) };
  if (deed === "acknowledge")
    return <SignForm {...common} label={`Acknowledge: ${name}`} verb="Acknowledge" reason="wanted" reasons={alerts.reasons} onSay={(said) => void alerts.acknowledge(alert.id, said)} />;
  if (deed === "unshelve")
    return <SignForm {...common} label={`Unshelve: ${name}`} verb="Unshelve" reason="none" onSay={({ user }) => void alerts.unshelve(alert.id, user)} />;
  return (
    <SignForm {...common} label={`Shelve: ${name}`} verb="Shelve" reason="welcome" onSay={(said) => void alerts.shelve(alert.id, duration, said)}>
      <label>
        for{" "}
        <select value={duration} onChange={(event) => setDuration(event.currentTarget.value)}>
          {shelf_times.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </label>
    </SignForm>
  );
}

/** What the alert looks at, in the chart or the control chart; on a small screen that is elsewhere. */
function showSeries(dashboard: Dashboard, alert: Alert) {
  const { control } = dashboard;
  const watched = alert.kind === "violation" && control.characteristics.find((c) => String(c.characteristic_id) === alert.key);
  if (watched) {
    control.choose(watched.characteristic_id);
    document.querySelector(".control")?.scrollIntoView({ block: "nearest" });
    return;
  }
  dashboard.showSeries(alert.stream, alert.metric || null, alert.key);
  document.getElementById("chart")?.scrollIntoView({ block: "nearest" });
}

function said(alert: Alert, reasons: Record<string, string>): string {
  const text = [reasonText(reasons, alert.ack_reason_code), alert.ack_reason].filter(Boolean).join(": ");
  return text ? `, “${text}”` : "";
}

/** Whole seconds: what counts up once a second does not show parts of one. */
function lastingText(ms: number): string {
  return span(Math.max(1000, Math.floor(ms / 1000) * 1000));
}

/** The time of day, and the day where it is another one. */
function instantText(clock: ZoneClock, now: number, instant: number): string {
  return clock.day(instant) === clock.day(now) ? clock.time(instant) : `${clock.day(instant)}, ${clock.minute(instant)}`;
}
function clockText(clock: ZoneClock, now: number, time: string): string {
  return instantText(clock, now, Date.parse(time));
}
