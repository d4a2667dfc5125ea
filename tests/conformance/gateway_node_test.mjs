// The gateway spoken to by Node's `ws`: node gateway_node_test.mjs <gateway_server>. The streaming client is source 004's own sample, with what made it
// fail put right (C-44: it subscribed before the socket was open; C-33: its ids were never sent), as a client of a developer would have it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../e2e/package.json", import.meta.url));
const WebSocket = require("ws");

const server = spawn(process.argv[2], [mkdtempSync(`${tmpdir()}/weir-node-`), "stream=events", "stream=users", "stream=spc", "root=analytics"], { stdio: ["pipe", "pipe", "inherit"] });
const [line] = await once(createInterface({ input: server.stdout }), "line");
const port = Number(line.split(" ")[1]);
const append = (stream, type, data) => server.stdin.write(`append ${stream} ${type} - ${JSON.stringify(data)}\n`);

class StreamingClient {
  constructor(url, token) {
    this.token = token;
    this.subscriptions = new Map();
    this.waiting = [];
    this.ws = new WebSocket(url);
    this.ready = new Promise((resolve) => (this.authenticated = resolve));
    this.ws.onopen = () => this.send({ type: "auth", data: { token: this.token } });
    this.ws.onmessage = (event) => this.handleMessage(JSON.parse(event.data));
  }
  async subscribe(type, filters, callback) {
    await this.ready;
    const subscriptionId = Math.random().toString(36).slice(2, 11);
    this.subscriptions.set(subscriptionId, callback);
    this.send({ type: "subscribe", data: { type, filters, subscription_id: subscriptionId } });
    return subscriptionId;
  }
  unsubscribe(subscriptionId) {
    this.send({ type: "unsubscribe", data: { subscription_id: subscriptionId } });
    this.subscriptions.delete(subscriptionId);
  }
  send(message) {
    this.ws.send(JSON.stringify(message));
  }
  handleMessage(message) {
    if (message.type === "auth_success") this.authenticated(message.data.client_id);
    else if (message.type === "data") this.subscriptions.get(message.subscription_id)(message.data);
    else this.waiting.shift()?.(message);
  }
  next() {
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

/** The messages of a plain socket, one after another. */
function messages(socket) {
  const seen = [], wanted = [];
  socket.on("message", (text) => (wanted.length ? wanted.shift()(JSON.parse(text)) : seen.push(JSON.parse(text))));
  return () => (seen.length ? Promise.resolve(seen.shift()) : new Promise((resolve) => wanted.push(resolve)));
}

const deadline = setTimeout(() => {
  console.error("not done within 60 s");
  process.exit(1);
}, 60_000);

// analytics, with and without compression (ws offers permessage-deflate by itself)
for (const perMessageDeflate of [true, false]) {
  const client = new StreamingClient(`ws://127.0.0.1:${port}`, "your-token");
  assert.match(await client.ready, /^[0-9a-f-]{36}$/);
  const got = [];
  let enough;
  const done = new Promise((resolve) => (enough = resolve));
  const confirmed = client.next();
  const id = await client.subscribe("events", { event_type: "user_action", "payload.user_id": "user123" }, (data) => got.push(data) === 20 && enough());
  assert.equal((await confirmed).subscription_id, id);
  for (let n = 0; n < 20; n++) {
    append("events", "user_action", { user_id: "user123", n, pad: "abc".repeat(n * 40) });
    append("events", "user_action", { user_id: "user999", n });
  }
  await done;
  assert.deepEqual(got.map((data) => data.event.payload.n), [...Array(20).keys()]);
  assert.equal(got[0].event.user_id, "user123");
  const ended = client.next();
  client.unsubscribe(id);
  assert.equal((await ended).type, "unsubscribed");
  client.ws.close(1000);
  const [code] = await once(client.ws, "close");
  assert.equal(code, 1000);
}

// broadcast
{
  const socket = new WebSocket(`ws://127.0.0.1:${port}/feed/users`, ["weir.json"]);
  const next = messages(socket);
  assert.equal((await next()).type, "welcome");
  assert.equal(socket.protocol, "weir.json");
  for (let n = 1; n <= 5; n++) append("users", "user", { name: { first: "Ana" }, n });
  for (let n = 1; n <= 5; n++) {
    const record = await next();
    assert.deepEqual([record.n, record.stream_sequence, record.type], [n, n, undefined]);
  }
  socket.terminate();
}

// spc: source 003's browser sample
{
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  const next = messages(socket);
  await once(socket, "open");
  socket.send(JSON.stringify({ type: "subscribe", characteristic_ids: [1, 2, 3] }));
  assert.deepEqual(await next(), { type: "subscribed", characteristic_ids: [1, 2, 3] });
  assert.equal((await next()).code, "unknown_ids");
  append("spc", "sample", { sample_id: 1, characteristic_id: 2, timestamp: "2026-02-02T12:00:00Z", value: 0, zone: "zone_c_upper", in_control: true });
  assert.equal((await next()).payload.value, 0);
  socket.send(JSON.stringify({ type: "ping" }));
  assert.deepEqual(await next(), { type: "pong" });
  server.kill("SIGTERM");
  const [code] = await once(socket, "close");
  assert.equal(code, 1001);
}
const [code] = server.exitCode === null ? await once(server, "exit") : [server.exitCode];
assert.equal(code, 0);
clearTimeout(deadline);
console.log("ok");
