import { Backoff } from "./backoff.js";
import { realClock, type Clock } from "./clock.js";
import {
  parseDelivery,
  parseEnvelope,
  parseHeads,
  type Delivery,
  type Envelope,
  type Gap,
  type Position,
  type ServerError,
  type Since,
  type SubscriptionType,
} from "./messages.js";
import { Positions } from "./positions.js";

/** What a client needs of a WebSocket: the browser's, Node's own (22 and later) and the `ws` package all are one. */
export interface SocketLike {
  readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
}

export interface ClientOptions {
  /** Sent as the first message of each connection; none: no `auth` is sent. */
  token?: string;
  /** Makes the socket. Default: the global `WebSocket`. */
  socket?: (url: string) => SocketLike;
  clock?: Clock;
  /** A connection on which nothing arrived for `ping_after_ms` is asked, and is over when it stays silent for `silent_after_ms` more. */
  ping_after_ms?: number;
  silent_after_ms?: number;
  backoff_most_ms?: number;
  onState?: (state: ConnectionState) => void;
  /** Errors that name no subscription of this client. */
  onError?: (error: ServerError) => void;
}

export interface ConnectionState {
  /** `waiting`: until `retry_at`. `refused`: the token was not accepted; `authenticate` tries again. */
  phase: "connecting" | "open" | "waiting" | "refused" | "closed";
  since: number;
  retry_at: number | null;
  reason: string;
}

export interface SubscribeOptions {
  type: SubscriptionType;
  /** Default: all streams of the type. */
  stream?: string | string[];
  filters?: Record<string, unknown>;
  /** Default: live only. */
  since?: Since;
  /**
   * Shares the events out among all clients that name this group. An event is done, and acknowledged, when `onEvent` has returned or the promise that it
   * returned is fulfilled; if this client is gone before that, another one gets it: at least once.
   */
  group?: string;
  onEvent: (delivery: Delivery) => unknown;
  /** Something is missing between what came before and what comes next. */
  onGap?: (gap: Gap) => void;
  /** The server has accepted the subscription; `resumed` is true from the second time on. */
  onSubscribed?: (resumed: boolean) => void;
  /** The server has ended it, since the token of now allows less than the one before. Nothing more comes, also after a reconnection. */
  onEnded?: () => void;
  onError?: (error: ServerError) => void;
}

export interface Subscription {
  readonly id: string;
  end(): void;
}

interface Entry {
  options: SubscribeOptions;
  positions: Positions;
  accepted: number;
  /** Sent on this connection, and neither accepted nor refused yet. */
  waits: boolean;
  /** Of a group: what came by this connection and is not acknowledged, in the order in which it came. */
  working: Work[];
}

interface Work {
  stream: string;
  position: Position;
  done: boolean;
}

const OPEN = 1;

/** What close codes mean to a person; a server's own reason goes before. */
const closeTexts: Record<number, string> = {
  1001: "the server is stopping",
  1006: "connection lost",
  1008: "not allowed",
  1009: "a message was too large",
  1013: "the server has no room, or this client was too slow",
};

/**
 * A connection to weir's analytics dialect that lasts: it reconnects with backoff, subscribes again from where each
 * subscription had come to, and tells a gap where there is one. One object for the whole life of a program.
 */
export class WeirClient {
  state: ConnectionState;
  /** Data messages taken, and repeats dropped, since the beginning. */
  received = 0;
  repeated = 0;

  private readonly clock: Clock;
  private readonly backoff: Backoff;
  private readonly entries = new Map<string, Entry>();
  private socket: SocketLike | null = null;
  private token: string | undefined;
  private ready = false;
  private opened_at = 0;
  private heard_at = 0;
  private asked = false;
  private next_id = 1;
  private stopRetry: () => void = () => {};
  private stopWatch: () => void = () => {};
  private stopAgain: () => void = () => {};

  constructor(
    private readonly url: string,
    private readonly options: ClientOptions = {},
  ) {
    this.clock = options.clock ?? realClock;
    this.backoff = new Backoff(() => this.clock.random(), 500, options.backoff_most_ms ?? 30_000);
    this.token = options.token;
    this.state = { phase: "closed", since: this.clock.now(), retry_at: null, reason: "" };
  }

  connect(): void {
    if (this.state.phase === "closed") this.attempt();
  }

  /** Ends the connection for good; `connect` begins anew, with the subscriptions where they were. */
  close(): void {
    this.stopRetry();
    this.drop("closed by this client");
    this.move("closed", "");
  }

  /** Tries at once instead of at `retry_at`: for a network that has come back, or a person who asks. */
  retryNow(): void {
    if (this.state.phase !== "waiting") return;
    this.stopRetry();
    this.attempt();
  }

  /** Uses another token from now on, on the open connection or on the next. */
  authenticate(token: string): void {
    this.token = token;
    if (this.socket && this.socket.readyState === OPEN) this.send({ type: "auth", data: { token } });
    else if (this.state.phase === "refused") this.attempt();
  }

  subscribe(options: SubscribeOptions): Subscription {
    const id = `c${this.next_id++}`;
    const entry: Entry = { options, positions: new Positions(options.since), accepted: 0, waits: false, working: [] };
    this.entries.set(id, entry);
    if (this.ready) this.sendSubscribe(id, entry);
    return {
      id,
      end: () => {
        if (this.entries.delete(id) && this.ready) this.send({ type: "unsubscribe", data: { subscription_id: id } });
      },
    };
  }

  private attempt(): void {
    this.move("connecting", this.state.reason);
    let socket: SocketLike;
    try {
      socket = this.options.socket?.(this.url) ?? (new WebSocket(this.url) as SocketLike);
    } catch (error) {
      this.retryLater(String(error));
      return;
    }
    this.socket = socket;
    this.opened_at = 0;
    // A socket that was given up may still speak: only the current one is heard.
    const current = (then: (event: any) => void) => (event: any) => {
      if (this.socket === socket) then(event);
    };
    socket.onopen = current(() => this.onOpen());
    socket.onmessage = current((event) => this.onFrame(String(event.data)));
    socket.onclose = current((event) => this.onClose(event?.code ?? 1006, event?.reason ?? ""));
    socket.onerror = () => {};
    this.hear();
    this.watch();
  }

  private onOpen(): void {
    this.opened_at = this.clock.now();
    this.hear();
    if (this.token) this.send({ type: "auth", data: { token: this.token } });
    else this.begin();
  }

  /** Nothing stands in the way of subscriptions any more. */
  private begin(): void {
    this.ready = true;
    this.move("open", "");
    for (const [id, entry] of this.entries) this.sendSubscribe(id, entry);
  }

  private onClose(code: number, reason: string): void {
    const lasted = this.opened_at ? this.clock.now() - this.opened_at : 0;
    this.drop("");
    if (this.state.phase === "refused") return;
    this.retryLater(reason || (closeTexts[code] ?? `closed with ${code}`), lasted);
  }

  private retryLater(reason: string, lasted = 0): void {
    const wait = this.backoff.next(lasted);
    this.move("waiting", reason, this.clock.now() + wait);
    this.stopRetry = this.clock.after(wait, () => this.attempt());
  }

  private drop(reason: string): void {
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    this.stopWatch();
    this.stopAgain();
    if (reason && socket) socket.close(1000, reason);
  }

  private hear(): void {
    this.heard_at = this.clock.now();
    this.asked = false;
  }

  /** A half-open connection says nothing, so silence is asked about, and then judged. A connecting one is judged alike. */
  private watch(): void {
    const ping_after = this.options.ping_after_ms ?? 20_000;
    const silent_after = this.options.silent_after_ms ?? 10_000;
    const due = this.heard_at + ping_after + (this.asked ? silent_after : 0);
    this.stopWatch = this.clock.after(Math.max(due - this.clock.now(), 50), () => {
      const silent = this.clock.now() - this.heard_at;
      if (this.asked && silent >= ping_after + silent_after) {
        this.drop("silent");
        this.retryLater("the server was silent");
        return;
      }
      if (!this.asked && silent >= ping_after) {
        this.asked = true;
        this.send({ type: "ping" });
      }
      this.watch();
    });
  }

  private onFrame(text: string): void {
    this.hear();
    const message = parseEnvelope(text);
    if (!message) return;
    switch (message.type) {
      case "data":
        return this.onData(message);
      case "auth_success":
        if (!this.ready) this.begin();
        return;
      case "auth_failed":
        this.move("refused", String(message.data?.error ?? "Invalid credentials"));
        this.drop("auth failed");
        return;
      case "subscribed":
        return this.onSubscribed(message);
      case "unsubscribed":
        return this.onUnsubscribed(message);
      case "gap":
        return this.onGap(message);
      case "error":
        return this.onError(message);
    }
  }

  private onData(message: Envelope): void {
    const entry = this.entries.get(message.subscription_id ?? "");
    const delivery = entry && parseDelivery(message);
    if (!entry || !delivery) return;
    if (entry.options.group !== undefined) return this.work(message.subscription_id!, entry, delivery);
    const verdict = entry.positions.take(delivery.stream, delivery.position);
    if (verdict === "repeated") {
      this.repeated += 1;
      return;
    }
    this.received += 1;
    if (verdict === "other_epoch")
      entry.options.onGap?.({ stream: delivery.stream, from_seq: null, to_seq: null, reason: "epoch" });
    entry.options.onEvent(delivery);
  }

  /** What another member leaves behind is older than what came before it: a group's seqs say nothing about repeats. */
  private work(id: string, entry: Entry, delivery: Delivery): void {
    const work: Work = { stream: delivery.stream, position: delivery.position, done: false };
    const working = entry.working;
    working.push(work);
    this.received += 1;
    const done = () => {
      work.done = true;
      let last: Work | undefined;
      while (working[0]?.done) last = working.shift();
      // An acknowledgement covers what came before it. Of an earlier connection nothing is ours any more.
      if (last && entry.working === working && this.entries.get(id) === entry)
        this.send({ type: "ack", data: { subscription_id: id, positions: { [last.stream]: last.position } } });
    };
    const result = entry.options.onEvent(delivery);
    if (result instanceof Promise) void result.then(done);
    else done();
  }

  private onSubscribed(message: Envelope): void {
    const entry = this.entries.get(message.subscription_id ?? String(message.data?.subscription_id ?? ""));
    if (!entry) return;
    entry.waits = false;
    entry.accepted += 1;
    if (entry.options.since === undefined) entry.positions.beginAt(parseHeads(message));
    entry.options.onSubscribed?.(entry.accepted > 1);
  }

  /** One that the caller ended itself is not known any more: this one nobody asked for. */
  private onUnsubscribed(message: Envelope): void {
    const id = message.subscription_id ?? String(message.data?.subscription_id ?? "");
    const entry = this.entries.get(id);
    if (entry && this.entries.delete(id)) entry.options.onEnded?.();
  }

  private onGap(message: Envelope): void {
    const entry = this.entries.get(message.subscription_id ?? String(message.data?.subscription_id ?? ""));
    const data = message.data ?? {};
    if (!entry || typeof data.stream !== "string") return;
    const number = (value: unknown) => (typeof value === "number" ? value : null);
    const gap: Gap = {
      stream: data.stream,
      from_seq: number(data.from_seq),
      to_seq: number(data.to_seq),
      reason: String(data.reason ?? "lost"),
    };
    const epoch = data.epoch ?? message.metadata?.epoch;
    entry.positions.skipTo(gap.stream, gap.to_seq !== null && typeof epoch === "string" ? { epoch, seq: gap.to_seq } : null);
    entry.options.onGap?.(gap);
  }

  private onError(message: Envelope): void {
    const data = message.data ?? {};
    const text = (value: unknown) => (typeof value === "string" ? value : null);
    const error: ServerError = {
      message: text(data.error) ?? text(data.message) ?? "error",
      code: text(data.code),
      detail: text(data.detail),
    };
    const entry = this.entries.get(message.subscription_id ?? String(data.subscription_id ?? ""));
    if (entry) entry.waits = false;
    if (error.code === "rate_limited") this.subscribeAgain(typeof data.retry_after_ms === "number" ? data.retry_after_ms : 5_000);
    (entry?.options.onError ?? this.options.onError)?.(error);
  }

  /** A message over the rate limit was not looked at, and the error does not say which it was: what has no answer is sent again. */
  private subscribeAgain(after_ms: number): void {
    this.stopAgain();
    this.stopAgain = this.clock.after(after_ms, () => {
      if (this.ready) for (const [id, entry] of this.entries) if (entry.waits) this.sendSubscribe(id, entry);
    });
  }

  private sendSubscribe(id: string, entry: Entry): void {
    const { type, stream, filters } = entry.options;
    const since = entry.positions.since() ?? entry.options.since;
    const data: Record<string, unknown> = { type, filters: filters ?? {} };
    if (stream !== undefined) data.stream = stream;
    if (since !== undefined) data.since = since;
    if (entry.options.group !== undefined) Object.assign(data, { group: entry.options.group, ack: true });
    entry.working = [];
    entry.waits = true;
    this.send({ type: "subscribe", data, subscription_id: id });
  }

  private send(message: Envelope): void {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(message));
  }

  private move(phase: ConnectionState["phase"], reason: string, retry_at: number | null = null): void {
    this.state = { phase, since: this.clock.now(), retry_at, reason };
    this.options.onState?.(this.state);
  }
}
