// ../clients/js/src/backoff.ts
var Backoff = class {
  constructor(random, first = 500, most = 3e4, healthy = 1e4) {
    this.random = random;
    this.first = first;
    this.most = most;
    this.healthy = healthy;
  }
  random;
  first;
  most;
  healthy;
  attempts = 0;
  /** Milliseconds to wait now; `connected_ms` is how long the connection that just ended had lasted. */
  next(connected_ms) {
    if (connected_ms >= this.healthy) this.attempts = 0;
    const whole = Math.min(this.most, this.first * 2 ** Math.min(this.attempts, 20));
    this.attempts += 1;
    return whole / 2 + whole / 2 * this.random();
  }
};

// ../clients/js/src/clock.ts
var realClock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  }
};

// ../clients/js/src/messages.ts
var bodyMember = {
  events: "event",
  metrics: "metric",
  alerts: "alert",
  predictions: "prediction",
  aggregations: "aggregation",
  system_status: "status"
};
function parseEnvelope(text) {
  try {
    const message = JSON.parse(text);
    if (typeof message !== "object" || message === null) return null;
    return typeof message.type === "string" ? message : null;
  } catch {
    return null;
  }
}
function parseDelivery(message) {
  const type = message.data?.subscription_type;
  const body = message.data?.[bodyMember[type]];
  const { stream, seq, epoch } = message.metadata ?? {};
  if (typeof body !== "object" || body === null) return null;
  if (typeof stream !== "string" || typeof seq !== "number") return null;
  return {
    type,
    stream,
    position: { epoch: String(epoch ?? ""), seq },
    key: String(body.key ?? message.metadata?.key ?? ""),
    timestamp: message.timestamp ?? "",
    body
  };
}
function parseHeads(message) {
  const streams = message.data?.streams;
  if (typeof streams !== "object" || streams === null) return {};
  const found = Object.entries(streams).filter(
    ([, head]) => typeof head?.epoch === "string" && typeof head.seq === "number"
  );
  return Object.fromEntries(found);
}

// ../clients/js/src/positions.ts
var Positions = class {
  reached = /* @__PURE__ */ new Map();
  constructor(since) {
    if (isPositionMap(since)) for (const [stream, position] of Object.entries(since)) this.reached.set(stream, position);
  }
  /** `repeated`: was delivered before. `other_epoch`: a new log began, so what lies between is unknown. */
  take(stream, position) {
    const last = this.reached.get(stream);
    if (last && last.epoch === position.epoch && position.seq <= last.seq) return "repeated";
    this.reached.set(stream, position);
    return last && last.epoch !== position.epoch ? "other_epoch" : "new";
  }
  /** What was lost up to here will not come any more; null: nobody knows up to where, so whatever comes next is new. */
  skipTo(stream, position) {
    if (position) this.reached.set(stream, position);
    else this.reached.delete(stream);
  }
  /** Where a subscription that asked for no history begins. */
  beginAt(heads) {
    for (const [stream, head] of Object.entries(heads)) if (!this.reached.has(stream)) this.reached.set(stream, head);
  }
  /** Null while no stream has a position: then a resumed subscription begins where its first one did. */
  since() {
    return this.reached.size ? Object.fromEntries(this.reached) : null;
  }
};
function isPositionMap(since) {
  return typeof since === "object" && since !== null && typeof since.last !== "number";
}

// ../clients/js/src/client.ts
var OPEN = 1;
var closeTexts = {
  1001: "the server is stopping",
  1006: "connection lost",
  1008: "not allowed",
  1009: "a message was too large",
  1013: "the server has no room, or this client was too slow"
};
var WeirClient = class {
  constructor(url, options = {}) {
    this.url = url;
    this.options = options;
    this.clock = options.clock ?? realClock;
    this.backoff = new Backoff(() => this.clock.random(), 500, options.backoff_most_ms ?? 3e4);
    this.token = options.token;
    this.state = { phase: "closed", since: this.clock.now(), retry_at: null, reason: "" };
  }
  url;
  options;
  state;
  /** Data messages taken, and repeats dropped, since the beginning. */
  received = 0;
  repeated = 0;
  clock;
  backoff;
  entries = /* @__PURE__ */ new Map();
  socket = null;
  token;
  ready = false;
  opened_at = 0;
  heard_at = 0;
  asked = false;
  next_id = 1;
  stopRetry = () => {
  };
  stopWatch = () => {
  };
  stopAgain = () => {
  };
  connect() {
    if (this.state.phase === "closed") this.attempt();
  }
  /** Ends the connection for good; `connect` begins anew, with the subscriptions where they were. */
  close() {
    this.stopRetry();
    this.drop("closed by this client");
    this.move("closed", "");
  }
  /** Tries at once instead of at `retry_at`: for a network that has come back, or a person who asks. */
  retryNow() {
    if (this.state.phase !== "waiting") return;
    this.stopRetry();
    this.attempt();
  }
  /** Uses another token from now on, on the open connection or on the next. */
  authenticate(token) {
    this.token = token;
    if (this.socket && this.socket.readyState === OPEN) this.send({ type: "auth", data: { token } });
    else if (this.state.phase === "refused") this.attempt();
  }
  subscribe(options) {
    const id = `c${this.next_id++}`;
    const entry = { options, positions: new Positions(options.since), accepted: 0, waits: false, working: [] };
    this.entries.set(id, entry);
    if (this.ready) this.sendSubscribe(id, entry);
    return {
      id,
      end: () => {
        if (this.entries.delete(id) && this.ready) this.send({ type: "unsubscribe", data: { subscription_id: id } });
      }
    };
  }
  attempt() {
    this.move("connecting", this.state.reason);
    let socket;
    try {
      socket = this.options.socket?.(this.url) ?? new WebSocket(this.url);
    } catch (error) {
      this.retryLater(String(error));
      return;
    }
    this.socket = socket;
    this.opened_at = 0;
    const current = (then) => (event) => {
      if (this.socket === socket) then(event);
    };
    socket.onopen = current(() => this.onOpen());
    socket.onmessage = current((event) => this.onFrame(String(event.data)));
    socket.onclose = current((event) => this.onClose(event?.code ?? 1006, event?.reason ?? ""));
    socket.onerror = () => {
    };
    this.hear();
    this.watch();
  }
  onOpen() {
    this.opened_at = this.clock.now();
    this.hear();
    if (this.token) this.send({ type: "auth", data: { token: this.token } });
    else this.begin();
  }
  /** Nothing stands in the way of subscriptions any more. */
  begin() {
    this.ready = true;
    this.move("open", "");
    for (const [id, entry] of this.entries) this.sendSubscribe(id, entry);
  }
  onClose(code, reason) {
    const lasted = this.opened_at ? this.clock.now() - this.opened_at : 0;
    this.drop("");
    if (this.state.phase === "refused") return;
    this.retryLater(reason || (closeTexts[code] ?? `closed with ${code}`), lasted);
  }
  retryLater(reason, lasted = 0) {
    const wait = this.backoff.next(lasted);
    this.move("waiting", reason, this.clock.now() + wait);
    this.stopRetry = this.clock.after(wait, () => this.attempt());
  }
  drop(reason) {
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    this.stopWatch();
    this.stopAgain();
    if (reason && socket) socket.close(1e3, reason);
  }
  hear() {
    this.heard_at = this.clock.now();
    this.asked = false;
  }
  /** A half-open connection says nothing, so silence is asked about, and then judged. A connecting one is judged alike. */
  watch() {
    const ping_after = this.options.ping_after_ms ?? 2e4;
    const silent_after = this.options.silent_after_ms ?? 1e4;
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
  onFrame(text) {
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
  onData(message) {
    const entry = this.entries.get(message.subscription_id ?? "");
    const delivery = entry && parseDelivery(message);
    if (!entry || !delivery) return;
    if (entry.options.group !== void 0) return this.work(message.subscription_id, entry, delivery);
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
  work(id, entry, delivery) {
    const work = { stream: delivery.stream, position: delivery.position, done: false };
    const working = entry.working;
    working.push(work);
    this.received += 1;
    const done = () => {
      work.done = true;
      let last;
      while (working[0]?.done) last = working.shift();
      if (last && entry.working === working && this.entries.get(id) === entry)
        this.send({ type: "ack", data: { subscription_id: id, positions: { [last.stream]: last.position } } });
    };
    const result = entry.options.onEvent(delivery);
    if (result instanceof Promise) void result.then(done);
    else done();
  }
  onSubscribed(message) {
    const entry = this.entries.get(message.subscription_id ?? String(message.data?.subscription_id ?? ""));
    if (!entry) return;
    entry.waits = false;
    entry.accepted += 1;
    if (entry.options.since === void 0) entry.positions.beginAt(parseHeads(message));
    entry.options.onSubscribed?.(entry.accepted > 1);
  }
  /** One that the caller ended itself is not known any more: this one nobody asked for. */
  onUnsubscribed(message) {
    const id = message.subscription_id ?? String(message.data?.subscription_id ?? "");
    const entry = this.entries.get(id);
    if (entry && this.entries.delete(id)) entry.options.onEnded?.();
  }
  onGap(message) {
    const entry = this.entries.get(message.subscription_id ?? String(message.data?.subscription_id ?? ""));
    const data = message.data ?? {};
    if (!entry || typeof data.stream !== "string") return;
    const number = (value) => typeof value === "number" ? value : null;
    const gap = {
      stream: data.stream,
      from_seq: number(data.from_seq),
      to_seq: number(data.to_seq),
      reason: String(data.reason ?? "lost")
    };
    const epoch = data.epoch ?? message.metadata?.epoch;
    entry.positions.skipTo(gap.stream, gap.to_seq !== null && typeof epoch === "string" ? { epoch, seq: gap.to_seq } : null);
    entry.options.onGap?.(gap);
  }
  onError(message) {
    const data = message.data ?? {};
    const text = (value) => typeof value === "string" ? value : null;
    const error = {
      message: text(data.error) ?? text(data.message) ?? "error",
      code: text(data.code),
      detail: text(data.detail)
    };
    const entry = this.entries.get(message.subscription_id ?? String(data.subscription_id ?? ""));
    if (entry) entry.waits = false;
    if (error.code === "rate_limited") this.subscribeAgain(typeof data.retry_after_ms === "number" ? data.retry_after_ms : 5e3);
    (entry?.options.onError ?? this.options.onError)?.(error);
  }
  /** A message over the rate limit was not looked at, and the error does not say which it was: what has no answer is sent again. */
  subscribeAgain(after_ms) {
    this.stopAgain();
    this.stopAgain = this.clock.after(after_ms, () => {
      if (this.ready) {
        for (const [id, entry] of this.entries) if (entry.waits) this.sendSubscribe(id, entry);
      }
    });
  }
  sendSubscribe(id, entry) {
    const { type, stream, filters } = entry.options;
    const since = entry.positions.since() ?? entry.options.since;
    const data = { type, filters: filters ?? {} };
    if (stream !== void 0) data.stream = stream;
    if (since !== void 0) data.since = since;
    if (entry.options.group !== void 0) Object.assign(data, { group: entry.options.group, ack: true });
    entry.working = [];
    entry.waits = true;
    this.send({ type: "subscribe", data, subscription_id: id });
  }
  send(message) {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(message));
  }
  move(phase, reason, retry_at = null) {
    this.state = { phase, since: this.clock.now(), retry_at, reason };
    this.options.onState?.(this.state);
  }
};
export {
  Backoff,
  Positions,
  WeirClient
};
