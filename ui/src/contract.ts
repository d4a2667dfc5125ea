/** The answers of weir's HTTP interface (docs/http-api.md), as far as the page reads them. Times are RFC 3339 UTC. */

export interface StreamInfo {
  name: string;
  /** `data`, `aggregations`, `alerts`, `predictions`, `metrics`, `system_status`. */
  type: string;
  label?: string;
  epoch: string;
  first_seq: number;
  head_seq: number;
  count: number;
  bytes: number;
  first_time: string | null;
  last_time: string | null;
}

export interface KeyInfo {
  key: string;
  last_time: string;
  last: Record<string, unknown>;
}

export interface KeyList {
  epoch?: string;
  head_seq?: number;
  keys: KeyInfo[];
}

/** t_ms, min, avg, max, coverage. A window without readings has null statistics. */
export type SeriesPoint = [number, number | null, number | null, number | null, number | null];
/** from_ms, to_ms, cause. */
export type SeriesGap = [number, number, string];

export interface SeriesAnswer {
  key: string;
  field: string;
  epoch?: string;
  head_seq?: number;
  resolution_ms: number | null;
  source: string;
  points: SeriesPoint[];
  gaps: SeriesGap[];
}

export interface WindowInfo {
  name: string;
  stream: string;
  output: string;
  field?: string;
  kind: string;
  size_ms: number;
  hop_ms: number;
  per_key: boolean;
}

export interface Trend {
  slope_per_minute: number | null;
  direction: string | null;
}

export interface WindowDocument {
  window: {
    name: string;
    kind: string;
    start: string;
    end: string;
    duration_seconds: number;
    closed_at: string;
    cut: string | null;
  };
  stream: string;
  key: string;
  field: string;
  revision: number;
  statistics: {
    count: number;
    min: number | null;
    max: number | null;
    avg: number | null;
    median: number | null;
    stddev: number | null;
    p95: number | null;
    trend: Trend | null;
  } | null;
  coverage: {
    expected: number | null;
    received: number;
    missing: number | null;
    rejected: number;
    late: number;
    duplicates: number;
    ratio: number | null;
    complete: boolean;
    sources: Record<string, number>;
    gaps: { from: string; to: string; cause: string }[];
    reason: string | null;
  };
}

export interface FeedSource {
  kind: string;
  url: string;
  state: string;
  failures: number;
  last_error: string | null;
  next_try: string | null;
}

export interface FeedInfo {
  name: string;
  stream: string;
  state: string;
  since: string | null;
  source: string | null;
  sources: FeedSource[];
  interval_ms: number | null;
  interval_learned: boolean;
  messages: number;
  readings: number;
  rejected: Record<string, number>;
  duplicates: number;
  reconnects: number;
  last_reading: string | null;
}

export interface StatusAnswer {
  version: string;
  started: string;
  now: string;
  clock_zone: string;
  log?: { bytes?: number; [member: string]: unknown };
  gateway?: Record<string, unknown>;
}

/** One episode of an alert as it is now: what `GET /api/v1/alerts` lists, and what each event of the subscription `alerts` holds. */
export interface Alert {
  id: string;
  rule: string;
  name: string;
  title: string;
  severity: "info" | "warning" | "critical" | "fatal";
  /** `inactive`: was pending and fell back without firing. */
  state: "pending" | "firing" | "resolved" | "inactive";
  change: string;
  stream: string;
  /** Of the series; empty where the alert is about a whole stream. */
  key: string;
  /** Field of the event; empty where there is none. */
  metric: string | null;
  kind: "threshold" | "rate" | "silence" | "violation";
  condition: "above" | "below" | "equals" | "not_equals" | null;
  threshold: number | null;
  value: number | null;
  message: string;
  /** Null only in what clients pushed. */
  pending_at: string | null;
  triggered_at: string | null;
  resolved_at: string | null;
  duration_seconds: number;
  acknowledged: boolean;
  ack_user: string | null;
  /** Whom the request named, where weir knew who made it. */
  ack_on_behalf_of?: string | null;
  ack_reason: string | null;
  ack_reason_code: string | null;
  acknowledged_at: string | null;
  shelved_until: string | null;
  shelved_by: string | null;
  shelf_reason?: string | null;
}

export interface AlertList {
  /** Newest first. Clients push alerts too, of which no more is sure than `id` and `state`: `alertOf` makes them whole. */
  alerts: unknown[];
  complete: boolean;
  reason_codes?: Record<string, string>;
}
