import type { Dashboard } from "../dashboard.js";
import { bytes, count, rate, span } from "../format.js";

export function connectionText(dashboard: Dashboard): string {
  const { phase, retry_at } = dashboard.connection;
  if (phase === "open") return "connected";
  if (phase === "connecting") return "connecting…";
  if (phase === "waiting") return `reconnecting in ${Math.max(0, Math.ceil(((retry_at ?? 0) - Date.now()) / 1000))} s`;
  return phase === "refused" ? "token needed" : "not connected";
}

/** How this page and its weir are: one line at the foot. */
export function SystemLine({ dashboard }: { dashboard: Dashboard }) {
  const status = dashboard.status.value;
  const streams = dashboard.streams.value;
  const messages = dashboard.messages.at(Date.now());
  const size = status?.log?.bytes ?? streams?.reduce((sum, stream) => sum + stream.bytes, 0);
  const items: [string, string][] = [
    ["page", connectionText(dashboard)],
    ["weir", status ? status.version : "–"],
    ["up", status ? span(dashboard.now() - Date.parse(status.started)).replace(/ \d+ s$/, "") : "–"],
    ["log", bytes(size)],
    ["streams", count(streams?.filter((stream) => !stream.name.startsWith("_")).length)],
    ["head seq", count(dashboard.head?.seq)],
    ...(typeof status?.gateway?.active_clients === "number" ? [["sessions", count(status.gateway.active_clients)] as [string, string]] : []),
    ["messages", messages === null ? "–" : rate(messages)],
  ];
  return (
    <footer class="system" aria-label="System">
      <dl>
        {items.map(([name, value]) => (
          <div key={name} data-item={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <nav aria-label="Interfaces">
        <a href="api/v1/status">status</a>
        <a href="metrics">metrics</a>
        <a href="assets/notices.txt">licences</a>
      </nav>
    </footer>
  );
}
