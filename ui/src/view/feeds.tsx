import type { Dashboard } from "../dashboard.js";
import type { FeedInfo } from "../contract.js";
import { causeText } from "../causes.js";
import { ago, count, nothing, rate, span } from "../format.js";
import { Empty } from "./notices.js";

const stateTexts: Record<string, string> = {
  live: "readings arrive as expected",
  degraded: "readings arrive, but not as they should",
  polled: "a fallback is asked now and then",
  stale: "connected, but silent for too long",
  down: "no source answers",
};

export function Feeds({ dashboard }: { dashboard: Dashboard }) {
  const { value: feeds, error, loading } = dashboard.feeds;
  return (
    <section class="card feeds" aria-labelledby="feeds-title">
      <h2 id="feeds-title">Feeds</h2>
      {error && feeds && <p class="warning">Not refreshed: {error}.</p>}
      {!feeds && error && <Empty title="The feeds cannot be shown">{error}.</Empty>}
      {!feeds && !error && loading && <div class="skeleton short" aria-label="Loading feeds" role="status" />}
      {feeds && feeds.length === 0 && (
        <Empty title="No feeds">This weir taps no source. Events can still be pushed to api/v1/streams/…/events.</Empty>
      )}
      {feeds?.map((feed) => <Feed key={feed.name} feed={feed} dashboard={dashboard} />)}
    </section>
  );
}

function Feed({ feed, dashboard }: { feed: FeedInfo; dashboard: Dashboard }) {
  const now = dashboard.now();
  const read_at = dashboard.lastReading(feed);
  const last = read_at === null ? null : now - read_at;
  const readings = dashboard.feedRates.get(feed.name)?.between() ?? null;
  const rejected = Object.values(feed.rejected ?? {}).reduce((sum, n) => sum + n, 0);
  return (
    <details class="feed" data-feed={feed.name}>
      <summary>
        <span class={`chip ${feed.state}`} title={stateTexts[feed.state]}>
          {feed.state}
        </span>
        <b class="feed-name">{feed.name}</b>
        <span class="facts">
          <Fact name="source" value={feed.source ?? "none"} />
          <Fact name="last reading" value={last === null ? "none yet" : ago(last)} />
          <Fact name="readings" value={readings === null ? nothing : rate(readings)} />
          <Fact name="interval" value={!feed.interval_ms ? "not known yet" : `${span(feed.interval_ms)}${feed.interval_learned ? " (learned)" : ""}`} />
          <Fact name="rejected" value={count(rejected)} alarm={rejected > 0} />
        </span>
      </summary>
      <div class="feed-more">
        <p>
          <b>{feed.state}</b>
          {feed.since ? ` for ${span(now - Date.parse(feed.since))}` : ""}: {stateTexts[feed.state] ?? "a state this page does not know"}. Writes the stream {feed.stream}.
        </p>
        <dl class="numbers">
          <Number name="messages" value={feed.messages} />
          <Number name="readings" value={feed.readings} />
          <Number name="repeated" value={feed.duplicates} />
          <Number name="reconnects" value={feed.reconnects} />
          {Object.entries(feed.rejected ?? {}).map(([reason, n]) => (
            <Number key={reason} name={`rejected: ${causeText(reason)}`} value={n} />
          ))}
        </dl>
        <ol class="sources" aria-label={`Sources of ${feed.name}, in order of preference`}>
          {(feed.sources ?? []).map((source) => (
            <li key={source.url} class={source.kind === feed.source ? "in-use" : ""}>
              <span class="source-kind">{source.kind}</span>
              <span class="source-url">{source.url}</span>
              <span class="source-state">
                {source.state}
                {source.kind === feed.source ? " · in use" : ""}
                {source.failures ? ` · ${count(source.failures)} failures` : ""}
                {source.next_try ? ` · next try in ${span(Math.max(0, Date.parse(source.next_try) - now))}` : ""}
              </span>
              {source.last_error && <span class="source-error">{source.last_error}</span>}
            </li>
          ))}
        </ol>
      </div>
    </details>
  );
}

function Fact({ name, value, alarm }: { name: string; value: string; alarm?: boolean }) {
  return (
    <span class={alarm ? "fact alarm" : "fact"} data-fact={name}>
      <span class="fact-name">{name}</span> {value}
    </span>
  );
}

function Number({ name, value }: { name: string; value: number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{count(value)}</dd>
    </div>
  );
}
