/** The messages of the analytics dialect (source 004 and its additions), as far as a client needs them. */

export type SubscriptionType = "events" | "metrics" | "alerts" | "predictions" | "aggregations" | "system_status";

/** Up to where a stream was read: `seq` grows by one an event, `epoch` names one incarnation of the log. */
export interface Position {
  epoch: string;
  seq: number;
}
export type PositionMap = Record<string, Position>;

/** Where a subscription begins: at positions, at a time (RFC 3339), or with the newest n events. */
export type Since = PositionMap | string | { last: number };

/** One event that arrived. `body` is the event, aggregation, alert, prediction, metric or status itself. */
export interface Delivery {
  type: SubscriptionType;
  stream: string;
  position: Position;
  /** Which thing the event is about; empty where it has none. */
  key: string;
  /** When weir took it, RFC 3339 UTC. */
  timestamp: string;
  body: Record<string, unknown>;
}

/** Events that will never arrive: the log no longer has them, or it is another log now. */
export interface Gap {
  stream: string;
  from_seq: number | null;
  to_seq: number | null;
  reason: string;
}

export interface ServerError {
  message: string;
  code: string | null;
  detail: string | null;
}

/** The envelope that every message has. */
export interface Envelope {
  type: string;
  data?: Record<string, unknown>;
  subscription_id?: string;
  timestamp?: string;
  metadata?: Record<string, unknown>;
}

/** The member of a data message's `data` that holds the thing itself, by subscription type. */
const bodyMember: Record<SubscriptionType, string> = {
  events: "event",
  metrics: "metric",
  alerts: "alert",
  predictions: "prediction",
  aggregations: "aggregation",
  system_status: "status",
};

/** The envelope in a frame, or null where it holds none: a client survives what it does not understand. */
export function parseEnvelope(text: string): Envelope | null {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message !== "object" || message === null) return null;
    return typeof (message as Envelope).type === "string" ? (message as Envelope) : null;
  } catch {
    return null;
  }
}

/** What a data message delivers; null where its type or its position is missing. */
export function parseDelivery(message: Envelope): Delivery | null {
  const type = message.data?.subscription_type as SubscriptionType;
  const body = message.data?.[bodyMember[type]];
  const { stream, seq, epoch } = message.metadata ?? {};
  if (typeof body !== "object" || body === null) return null;
  if (typeof stream !== "string" || typeof seq !== "number") return null;
  return {
    type,
    stream,
    position: { epoch: String(epoch ?? ""), seq },
    key: String((body as { key?: unknown }).key ?? message.metadata?.key ?? ""),
    timestamp: message.timestamp ?? "",
    body: body as Record<string, unknown>,
  };
}

/** The positions in a `subscribed` message: live begins behind them. */
export function parseHeads(message: Envelope): PositionMap {
  const streams = message.data?.streams;
  if (typeof streams !== "object" || streams === null) return {};
  const found = Object.entries(streams as Record<string, Partial<Position>>).filter(
    ([, head]) => typeof head?.epoch === "string" && typeof head.seq === "number",
  );
  return Object.fromEntries(found) as PositionMap;
}
