import { useEffect } from "preact/hooks";
import type { Dashboard } from "../dashboard.js";
import { AlertsCard } from "./alerts.js";
import { ChartCard } from "./chart_card.js";
import { ControlChartsCard } from "./control_charts.js";
import { Feeds } from "./feeds.js";
import { Header } from "./header.js";
import { Keys } from "./keys.js";
import { Banner, TokenForm } from "./notices.js";
import { SystemLine } from "./system_line.js";
import { Windows } from "./windows.js";

export function Page({ dashboard }: { dashboard: Dashboard }) {
  useEffect(() => {
    addEventListener("keydown", onSlash);
    return () => removeEventListener("keydown", onSlash);
  }, []);
  return (
    <>
      <a class="skip" href="#chart" onClick={skipToChart}>
        Skip to the chart
      </a>
      <Header dashboard={dashboard} />
      <main>
        <h1 class="unseen">weir dashboard</h1>
        <Banner dashboard={dashboard} />
        {dashboard.token_wanted ? (
          <TokenForm dashboard={dashboard} />
        ) : (
          <div class="rooms">
            <Feeds dashboard={dashboard} />
            <ChartCard dashboard={dashboard} />
            <AlertsCard dashboard={dashboard} />
            <ControlChartsCard dashboard={dashboard} />
            <Keys dashboard={dashboard} />
            <Windows dashboard={dashboard} />
          </div>
        )}
      </main>
      <SystemLine dashboard={dashboard} />
    </>
  );
}

/** The address holds the selection, so a skip link may not change it. */
function skipToChart(event: Event) {
  event.preventDefault();
  document.querySelector<HTMLElement>(".plot")?.focus();
}

/** `/` goes to the filter, unless someone is writing. */
function onSlash(event: KeyboardEvent) {
  const writes = (event.target as HTMLElement).closest?.("input, select, textarea");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writes) return;
  const filter = document.querySelector<HTMLElement>(".filter");
  if (!filter) return;
  event.preventDefault();
  filter.focus();
}
