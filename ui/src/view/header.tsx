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
          {clock.zone === "UTC" ? "UTC" : `${clock.zone.split("/").pop()!.replaceAll("_", " ")} · ${clock.zoneName(now)}`}
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
