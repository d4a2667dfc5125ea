import { useLayoutEffect } from "preact/hooks";
import type { Dashboard } from "../dashboard.js";
import { chooseTheme, chosenTheme, type Theme } from "../theme.js";
import { connectionText } from "./system_line.js";

const themes: Theme[] = ["auto", "light", "dark"];
const themeSigns: Record<Theme, string> = { auto: "◐", light: "☀", dark: "☾" };

export function Header({ dashboard }: { dashboard: Dashboard }) {
  const clock = dashboard.shownClock;
  const now = dashboard.now();
  const theme = chosenTheme();
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]!;
  const calling = dashboard.alerts.calling.length;
  // In the step that draws the count: the tab and the page say the same.
  useLayoutEffect(() => {
    document.title = calling > 0 ? `(${calling}) weir` : "weir";
  }, [calling]);
  const open = dashboard.connection.phase === "open";
  return (
    <header class="top">
      <div class="brand">
        <img src="assets/weir.svg" alt="" width="28" height="28" />
        <span>weir</span>
      </div>
      <span class={`chip ${open ? "live" : dashboard.connection.phase === "connecting" ? "polled" : "down"}`} data-phase={dashboard.connection.phase}>
        {connectionText(dashboard)}
      </span>
      {calling > 0 && (
        <button type="button" class="chip alert-count" data-count={calling} title="Firing, neither acknowledged nor shelved" onClick={showAlerts}>
          {calling}
          <span class="alert-word">{calling === 1 ? "alert" : "alerts"}</span>
        </button>
      )}
      <div class="clock">
        <time dateTime={new Date(now).toISOString()}>
          <span class="clock-day">{clock.weekday(now)}</span> <b>{clock.time(now)}</b>
        </time>
        <button
          type="button"
          class="quiet"
          aria-pressed={dashboard.selection.utc}
          title={`Times are shown in ${clock.zone}. Press for ${dashboard.selection.utc ? dashboard.clock.zone : "UTC"}.`}
          onClick={() => dashboard.toggleUtc()}
        >
          <span class="unseen">Show times in UTC; now in </span>
          {clock.zone === "UTC" ? "UTC" : clock.zone.split("/").pop()!.replaceAll("_", " ")}
          {clock.zone !== "UTC" && <span class="zone-name"> · {clock.zoneName(now)}</span>}
        </button>
      </div>
      <button
        type="button"
        class="quiet icon"
        title={`Colours: ${theme}. Press for ${next}.`}
        aria-label={`Colours: ${theme}. Press for ${next}.`}
        onClick={() => {
          chooseTheme(next);
          dashboard.changed();
        }}
      >
        <span aria-hidden="true">{themeSigns[theme]}</span>
      </button>
    </header>
  );
}

function showAlerts() {
  const card = document.querySelector<HTMLElement>(".alerts");
  card?.scrollIntoView({ block: "start" });
  card?.focus({ preventScroll: true });
}
