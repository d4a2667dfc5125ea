// A stand-in of `weir serve` for the page's development and tests: the HTTP interface and the analytics dialect as the page uses
// them, over simulated streams. `node mock/server.mjs [--port 8766] [--interval 4000] [--token T] [--empty]` (no data yet), or `startMock(...)`.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { Alerts } from "./alerts.mjs";
import { Control } from "./control.mjs";
import { History } from "./history.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../dist");
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8" };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Resolves to { url, port, close(), history, counts }. `faults` may be changed while it runs: { series: 500, silent: true }, `post` refuses what is
 * asked for, `deaf` tells no alert. */
export async function startMock({ port = 0, interval = 4000, token = null, zone = "Europe/Zurich", epoch, faults = {}, alert_cycle } = {}) {
  const started = Date.now();
  const history = new History({ interval, now: started, epoch });
  const control = new Control({ now: started });
  const alerts = new Alerts({ now: started, history, cycle: alert_cycle, quiet: !!faults.empty });
  const counts = { messages: 0, sent: 0, requests: {} };
  const sessions = new Set();

  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://mock");
    const answer = (status, body) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (!url.pathname.startsWith("/api/v1/")) return sendFile(url.pathname, response);
    if (token && request.headers.authorization !== `Bearer ${token}`)
      return answer(401, { error: { code: "unauthorized", message: "A token is required", detail: null } });
    const [name, ...rest] = url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent);
    counts.requests[name] = (counts.requests[name] ?? 0) + 1;
    if (faults[name]) return answer(faults[name], { error: { code: "internal", message: "the log could not be read", detail: null } });
    if (request.method === "POST") {
      let body = "";
      request.on("data", (piece) => (body += piece));
      request.on("end", () => {
        const given = JSON.parse(body);
        if (faults.post) return answer(faults.post, { error: { code: "forbidden", message: "Forbidden", detail: "the token lacks the permission" } });
        if (name === "alerts") return answer(...alerts.act(rest[0], rest[1], given, Date.now()));
        if (name === "characteristics") return answer(...control.create(given));
        answer(...(rest[0] === "acknowledge" ? control.acknowledgeAll(given) : control.acknowledge(Number(rest[0]), given)));
      });
      return;
    }
    if (faults.empty && name === "characteristics") return answer(200, { characteristics: [...control.definitions.values()], reason_codes: {} });
    if (name === "alerts") return answer(...alerts.answer(url.searchParams, rest[0]));
    const handler = api[name];
    if (!handler) return answer(404, { error: { code: "not_found", message: "no such thing", detail: null } });
    answer(200, handler(url.searchParams, rest));
  });

  const api = {
    ...control.answers(),
    status: () => ({
      version: "0.1.0-mock", started: new Date(started - 93_784_000).toISOString(), now: new Date().toISOString(), clock_zone: zone,
      log: { bytes: 187_430_912 + counts.messages * 400 }, processors: [], stores: [], gateway: { active_clients: sessions.size },
    }),
    streams: () => ({
      // Commands and their answers stand first by name, and are no series to look at.
      streams: [
        ...(faults.empty ? [] : ["alert.answers", "alert.in"].map((name) => streamInfo(name, "data", 1, 200))),
        ...Object.entries(history.streams).flatMap(([name, of]) => [
          streamInfo(name, "data", history.head(name, Date.now()), 7.4),
          ...Object.entries(of.windows).map(([window, size]) => streamInfo(`${name}.${window}`, "aggregations", windowHead(name, size, Date.now()), 310)),
        ]),
        streamInfo("system_status", "system_status", 12, 200),
      ],
    }),
    keys: (query) => {
      const stream = query.get("stream");
      const of = history.streams[stream];
      const now = Date.now();
      if (!of || faults.empty) return { stream, epoch: history.epoch, head_seq: of ? history.head(stream, now) : 0, keys: [] };
      const time = history.latest(now);
      const keys = of.keys.map((key, at) => ({ key, last_time: new Date(time).toISOString(), last: of.data(at, time) }));
      return { stream, epoch: history.epoch, head_seq: history.head(stream, now), keys: keys.sort((a, b) => (a.key < b.key ? -1 : 1)) };
    },
    series: (query) =>
      history.series({
        stream: query.get("stream"), key: query.get("key"), field: query.get("field"), from: Date.parse(query.get("from")), to: Date.parse(query.get("to")),
        points: Number(query.get("points")), now: Date.now(),
      }),
    windows: (query, [name]) => {
      const all = faults.empty ? [] : Object.entries(history.streams).flatMap(([stream, of]) =>
        Object.entries(of.windows).map(([window, size]) => ({ name: window, stream, output: `${stream}.${window}`, field: of.field, kind: "tumbling", size_ms: size, hop_ms: size, per_key: true })),
      );
      if (!name) return { windows: all };
      const window = all.find((w) => w.name === name);
      if (!window) return { window: name, results: [] };
      const { keys } = history.streams[window.stream];
      const at = Math.max(0, keys.indexOf(query.get("key") ?? keys[0]));
      const results = [];
      for (const start of history.closed(window.size_ms, Date.now())) {
        if (results.length >= Number(query.get("limit") ?? 100)) break;
        results.push(history.window(window.stream, name, at, start));
      }
      return { window: name, results };
    },
    feeds: () => {
      const now = Date.now();
      if (faults.empty) return { feeds: [] };
      const last = new Date(history.latest(now)).toISOString();
      const messages = history.messages(now);
      return {
        feeds: [
          {
            name: "pools", stream: "pools", state: faults.feed ?? "live", since: new Date(now - 37 * 60_000).toISOString(), source: "websocket",
            sources: [
              { kind: "websocket", url: "wss://badi.example/api", state: "live", failures: 0, last_error: null, next_try: null },
              { kind: "http", url: "https://badi.example/occupancy.json", state: "standby", failures: 0, last_error: null, next_try: null },
              { kind: "html", url: "https://www.example/baeder/oerlikon.html", state: "down", failures: 14, last_error: "GET answered 503 Service Unavailable; retry in 2 min", next_try: new Date(now + 118_000).toISOString() },
            ],
            interval_ms: interval, interval_learned: true, messages, readings: messages * 32, rejected: { not_a_number: 17, missing_value: 3 }, duplicates: 4, reconnects: 6, last_reading: last,
          },
          {
            name: "line", stream: "line", state: "polled", since: new Date(now - 3 * 3_600_000).toISOString(), source: "http",
            sources: [{ kind: "http", url: "http://line.example:9000/now", state: "live", failures: 0, last_error: null, next_try: null }],
            interval_ms: interval, interval_learned: false, messages, readings: messages * 4, rejected: {}, duplicates: 0, reconnects: 0, last_reading: last,
          },
        ],
      };
    },
  };

  function streamInfo(name, type, head, size) {
    return { name, type, epoch: history.epoch, first_seq: 1, head_seq: head, count: faults.empty ? 0 : head, bytes: Math.round(head * size), first_time: new Date(history.began).toISOString(), last_time: new Date(history.latest(Date.now())).toISOString() };
  }
  function windowHead(stream, size, now) {
    return Math.floor((now - 10_000 - history.began) / size) * history.streams[stream].keys.length;
  }

  // The spc dialect

  const spc = new WebSocketServer({ noServer: true });
  spc.on("connection", (socket) => {
    const ids = new Set();
    const listener = (told) => ids.has(told.payload.characteristic_id) && socket.send(JSON.stringify(told));
    control.listeners.add(listener);
    socket.on("close", () => control.listeners.delete(listener));
    socket.on("message", (text) => {
      const message = JSON.parse(String(text));
      if (message.type === "ping") return socket.send('{"type":"pong"}');
      if (message.type !== "subscribe") return;
      socket.send(JSON.stringify({ type: "subscribed", characteristic_ids: message.characteristic_ids }));
      for (const id of message.characteristic_ids) ids.add(id);
    });
  });

  // The analytics dialect

  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    const to = { "/stream": sockets, "/ws": spc }[new URL(request.url, "http://mock").pathname];
    if (!to) return socket.destroy();
    to.handleUpgrade(request, socket, head, (made) => to.emit("connection", made, request));
  });
  sockets.on("connection", (socket) => {
    const session = { socket, subscriptions: new Map(), authenticated: !token };
    sessions.add(session);
    socket.on("close", () => sessions.delete(session));
    socket.on("message", (text) => {
      if (faults.silent) return;
      const message = JSON.parse(String(text));
      counts.messages += 1;
      onMessage(session, message);
    });
  });
  const send = (session, message) => {
    if (faults.silent) return;
    counts.sent += 1;
    session.socket.send(JSON.stringify(message));
  };

  function onMessage(session, message) {
    if (message.type === "ping") return send(session, { type: "pong" });
    if (message.type === "auth") {
      session.authenticated = !token || message.data.token === token;
      return send(session, session.authenticated ? { type: "auth_success", data: { client_id: "c" } } : { type: "auth_failed", data: { error: "Invalid credentials" } });
    }
    if (!session.authenticated) return send(session, { type: "error", data: { error: "Authentication required" } });
    if (message.type === "unsubscribe") {
      session.subscriptions.delete(message.data.subscription_id);
      return send(session, { type: "unsubscribed", data: message.data });
    }
    if (message.type !== "subscribe") return send(session, { type: "error", data: { error: "Unknown message type" } });
    const { type, stream, since } = message.data;
    if (stream === "spc.characteristics" && faults.empty && control.definitions.size === 0)
      return send(session, { type: "error", data: { error: "Unknown stream", code: "unknown_stream", detail: `\`${stream}\`` }, subscription_id: message.subscription_id });
    const subscription = { id: message.subscription_id, type, streams: stream === undefined ? null : [stream].flat() };
    session.subscriptions.set(subscription.id, subscription);
    const heads = Object.keys(history.streams).filter((name) => wants(subscription, "events", name)).map((name) => [name, { epoch: history.epoch, seq: history.head(name, sentTo) }]);
    if (type === "alerts" && alerts.events.length > 0) heads.push(["alerts", { epoch: history.epoch, seq: alerts.events.length }]);
    send(session, { type: "subscribed", data: { subscription_id: subscription.id, type, filters: {}, streams: Object.fromEntries(heads) }, subscription_id: subscription.id });
    for (const [name, position] of Object.entries(since ?? {})) {
      if (position.epoch !== history.epoch)
        send(session, { type: "gap", data: { stream: name, epoch: history.epoch, from_seq: null, to_seq: null, reason: "unknown_epoch" }, subscription_id: subscription.id });
      else if (type === "events" && history.streams[name]) catchUp(session, subscription, name, position.seq);
      else if (type === "alerts" && name === "alerts") for (const event of alerts.events.slice(position.seq)) send(session, alertMessage(subscription, event));
    }
  }

  function alertMessage(subscription, { seq, alert }) {
    const key = alert.key ? `${alert.rule}/${alert.key}` : alert.rule;
    return { type: "data", data: { alert, subscription_type: "alerts" }, subscription_id: subscription.id, timestamp: new Date().toISOString(), metadata: { stream: "alerts", seq, epoch: history.epoch, key } };
  }
  alerts.onEvent = (event) => {
    if (faults.deaf) return;
    for (const session of sessions) for (const subscription of session.subscriptions.values()) if (wants(subscription, "alerts", "alerts")) send(session, alertMessage(subscription, event));
  };

  /** From a position to the last message that was sent to all. */
  function catchUp(session, subscription, stream, seq) {
    const { keys } = history.streams[stream];
    for (const time of history.instants(sentTo - 3_600_000, sentTo))
      for (let at = 0; at < keys.length; at += 1)
        if (history.seq(stream, at, time) > seq) send(session, eventMessage(subscription, stream, history.event(stream, at, time)));
  }

  function eventMessage(subscription, stream, event) {
    return {
      type: "data",
      data: { event: { event_id: event.id, event_type: event.type, user_id: null, timestamp: event.time, payload: event.data }, subscription_type: "events" },
      subscription_id: subscription.id, timestamp: event.ingested, metadata: { stream, seq: event.seq, epoch: history.epoch, key: event.key },
    };
  }

  let definitions = 0;
  control.onDefinition = (made) => {
    definitions += 1;
    const event = { id: `d${definitions}`, type: "characteristic", key: String(made.id), seq: definitions, time: new Date().toISOString(), ingested: new Date().toISOString(), data: made };
    for (const session of sessions)
      for (const subscription of session.subscriptions.values())
        if (subscription.type === "events" && subscription.streams?.includes("spc.characteristics")) send(session, eventMessage(subscription, "spc.characteristics", event));
  };

  let sentTo = history.latest(started);
  let windowsTo = started;
  const wants = (subscription, type, stream) => subscription.type === type && (!subscription.streams || subscription.streams.includes(stream));
  const tick = setInterval(() => {
    const now = Date.now();
    if (!faults.empty) alerts.tick(now);
    if (faults.empty) {
      sentTo = history.latest(now);
      return;
    }
    for (const time of history.instants(sentTo, now)) {
      sentTo = time;
      for (const stream of Object.keys(history.streams))
        for (let at = 0; at < history.streams[stream].keys.length; at += 1) {
          const event = history.event(stream, at, time);
          for (const session of sessions) for (const subscription of session.subscriptions.values()) if (wants(subscription, "events", stream)) send(session, eventMessage(subscription, stream, event));
        }
    }
    sendWindows(windowsTo, now);
    windowsTo = now;
  }, Math.min(200, interval / 4));

  /** Windows whose closing time passed. */
  function sendWindows(from, to) {
    for (const [stream, of] of Object.entries(history.streams))
      for (const [name, size] of Object.entries(of.windows)) {
        const start = Math.floor((to - 10_000) / size) * size - size;
        if (start + size + 10_000 <= from) continue;
        sendWindow(stream, name, start);
      }
  }
  function sendWindow(stream, name, start, revision = 0) {
    const { keys, windows } = history.streams[stream];
    keys.forEach((_key, at) => {
      const seq = Math.floor((start - history.began) / windows[name]) * keys.length + at + 1 + revision * 1e9;
      const aggregation = history.window(stream, name, at, start, revision);
      for (const session of sessions) for (const subscription of session.subscriptions.values())
        if (wants(subscription, "aggregations", `${stream}.${name}`))
          send(session, {
            type: "data", data: { aggregation, subscription_type: "aggregations" }, subscription_id: subscription.id, timestamp: new Date().toISOString(),
            metadata: { stream: `${stream}.${name}`, seq, epoch: history.epoch },
          });
    });
  }

  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`, port: server.address().port, history, counts, control, alerts, faults, sessions,
    /** Closes a window now, for tests that do not wait five minutes. */
    sendWindow,
    async close() {
      clearInterval(tick);
      for (const session of sessions) session.socket.terminate();
      for (const socket of spc.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function sendFile(path, response) {
  const file = normalize(join(dist, path === "/" ? "index.html" : path));
  const found = file.startsWith(dist) && existsSync(file) && statSync(file).isFile();
  response.writeHead(found ? 200 : 404, { "Content-Type": types[extname(file)] ?? "text/plain", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache" });
  if (found) createReadStream(file).pipe(response);
  else response.end("not found\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name) => (process.argv.includes(`--${name}`) ? process.argv[process.argv.indexOf(`--${name}`) + 1] : undefined);
  const mock = await startMock({
    port: Number(option("port") ?? 8766), interval: Number(option("interval") ?? 4000), token: option("token") ?? null, faults: { empty: process.argv.includes("--empty") },
  });
  console.log(`mock weir at ${mock.url}`);
}
