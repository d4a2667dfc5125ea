import { useState } from "preact/hooks";
import type { Dashboard } from "../dashboard.js";

/** Above everything: what a person must know before trusting a number below. */
export function Banner({ dashboard }: { dashboard: Dashboard }) {
  const { connection } = dashboard;
  const away = connection.phase === "waiting" || (connection.phase === "connecting" && connection.reason !== "");
  if (away && !dashboard.token_wanted)
    return (
      <div class="banner" role="status">
        <p>
          <b>No connection to weir</b>
          {connection.reason ? ` (${connection.reason})` : ""}.{" "}
          {dashboard.lost_at === null ? "" : `What you see is as of ${dashboard.shownClock.time(dashboard.lost_at)}. `}
          What weir records meanwhile is fetched when it is back.
        </p>
        <button type="button" onClick={() => dashboard.client.retryNow()}>
          Try now
        </button>
      </div>
    );
  if (dashboard.live_refused)
    return (
      <div class="banner" role="status">
        <p>
          <b>No live data.</b> weir refused the subscription: {dashboard.live_refused}. History is shown.
        </p>
      </div>
    );
  if (dashboard.clock.unknown_zone)
    return (
      <div class="banner" role="status">
        <p>This browser does not know the zone {dashboard.clock.unknown_zone}; times are in UTC.</p>
      </div>
    );
  return null;
}

export function TokenForm({ dashboard }: { dashboard: Dashboard }) {
  const [token, setToken] = useState("");
  const refused = dashboard.connection.phase === "refused";
  return (
    <form
      class="card token"
      onSubmit={(event) => {
        event.preventDefault();
        if (token) dashboard.useToken(token);
      }}
    >
      <h2>This weir wants a token</h2>
      <p>{refused ? `The token was not accepted: ${dashboard.connection.reason}.` : "Whoever runs it can make one with weir token."} It is kept until this tab is closed.</p>
      <label>
        Token
        <input type="password" autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
      </label>
      <button type="submit">Connect</button>
    </form>
  );
}

/** What stands where there is nothing to show, and why. */
export function Empty({ title, children, onRetry }: { title: string; children?: preact.ComponentChildren; onRetry?: () => void }) {
  return (
    <div class="empty" role="status">
      <p class="empty-title">{title}</p>
      {children && <p>{children}</p>}
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
