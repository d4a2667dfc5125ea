import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, WeirClient, type Clock, type Delivery, type Gap, type SocketLike } from "weir-client";

/** Time that moves only when told. */
class Hand implements Clock {
  private time = 0;
  private waits: { at: number; then: () => void }[] = [];
  now = () => this.time;
  random = () => 0.5;
  after(ms: number, then: () => void) {
    const wait = { at: this.time + ms, then };
    this.waits.push(wait);
    return () => void (this.waits = this.waits.filter((w) => w !== wait));
  }
  pass(ms: number) {
    const end = this.time + ms;
    for (;;) {
      const next = this.waits.filter((w) => w.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.waits = this.waits.filter((w) => w !== next);
      this.time = next.at;
      next.then();
    }
    this.time = end;
  }
}

class Socket implements SocketLike {
  readyState = 0;
  sent: any[] = [];
  onopen: any = null;
  onmessage: any = null;
  onclose: any = null;
  onerror: any = null;
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen({});
  }
  tell(message: object) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  event(id: string, seq: number, epoch = "e1") {
    this.tell({
      type: "data", data: { event: { event_id: String(seq), timestamp: "2026-02-17T10:00:00.000Z", payload: {} }, subscription_type: "events" },
      subscription_id: id, timestamp: "2026-02-17T10:00:00.000Z", metadata: { stream: "pools", seq, epoch, key: "SSD-7" },
    });
  }
  lose() {
    this.readyState = 3;
    this.onclose({ code: 1006, reason: "" });
  }
}

function setUp(options: { token?: string; since?: any } = {}) {
  const clock = new Hand();
  const sockets: Socket[] = [];
  const client = new WeirClient("ws://weir/stream", {
    clock, ...(options.token ? { token: options.token } : {}),
    socket: () => {
      const socket = new Socket();
      sockets.push(socket);
      return socket;
    },
  });
  const events: Delivery[] = [];
  const gaps: Gap[] = [];
  const subscription = client.subscribe({ type: "events", stream: "pools", ...(options.since ? { since: options.since } : {}), onEvent: (d) => events.push(d), onGap: (g) => gaps.push(g) });
  client.connect();
  return { clock, sockets, client, events, gaps, subscription, last: () => sockets[sockets.length - 1]! };
}

test("client: subscribes where it was told to begin, and hands on what arrives (S4-31)", () => {
  const { last, events, subscription } = setUp({ since: { pools: { epoch: "e1", seq: 41 } } });
  last().open();
  assert.deepEqual(last().sent, [{ type: "subscribe", data: { type: "events", filters: {}, stream: "pools", since: { pools: { epoch: "e1", seq: 41 } } }, subscription_id: subscription.id }]);
  last().event(subscription.id, 42);
  assert.deepEqual(events.map((d) => [d.stream, d.position.seq, d.key]), [["pools", 42, "SSD-7"]]);
});

test("client: after a lost connection it goes on behind the last event, and never delivers twice (S4-31, D5)", () => {
  const { clock, last, events, gaps, subscription } = setUp();
  last().open();
  for (const seq of [1, 2, 3]) last().event(subscription.id, seq);
  last().lose();
  clock.pass(1000);
  last().open();
  assert.deepEqual(last().sent[0].data.since, { pools: { epoch: "e1", seq: 3 } });
  for (const seq of [2, 3, 4]) last().event(subscription.id, seq);
  assert.deepEqual(events.map((d) => d.position.seq), [1, 2, 3, 4]);
  assert.deepEqual(gaps, []);
});

test("client: a gap is told, and is not asked for again (D5)", () => {
  const { clock, last, gaps, subscription } = setUp({ since: { pools: { epoch: "e1", seq: 5 } } });
  last().open();
  last().tell({ type: "gap", data: { stream: "pools", epoch: "e1", from_seq: 6, to_seq: 90, reason: "retention" }, subscription_id: subscription.id });
  assert.deepEqual(gaps, [{ stream: "pools", from_seq: 6, to_seq: 90, reason: "retention" }]);
  last().lose();
  clock.pass(1000);
  last().open();
  assert.deepEqual(last().sent[0].data.since, { pools: { epoch: "e1", seq: 90 } });
});

test("client: a new epoch is a gap, and its events are new though their seq is small", () => {
  const { last, events, gaps, subscription } = setUp({ since: { pools: { epoch: "e1", seq: 500 } } });
  last().open();
  last().event(subscription.id, 1, "e2");
  assert.deepEqual(gaps.map((gap) => gap.reason), ["epoch"]);
  assert.equal(events.length, 1);
});

test("client: a gap of unknown length is told once, and what comes behind it is new", () => {
  const { last, events, gaps, subscription } = setUp({ since: { pools: { epoch: "e1", seq: 500 } } });
  last().open();
  last().tell({ type: "gap", data: { stream: "pools", epoch: "e2", from_seq: null, to_seq: null, reason: "unknown_epoch" }, subscription_id: subscription.id });
  last().event(subscription.id, 1, "e2");
  assert.deepEqual(gaps.map((gap) => gap.reason), ["unknown_epoch"]);
  assert.equal(events.length, 1);
});

test("client: a live subscription that saw nothing yet still resumes where it began", () => {
  const { clock, last, subscription } = setUp();
  last().open();
  last().tell({ type: "subscribed", data: { subscription_id: subscription.id, type: "events", streams: { pools: { epoch: "e1", seq: 77 } } }, subscription_id: subscription.id });
  last().lose();
  clock.pass(1000);
  last().open();
  assert.deepEqual(last().sent[0].data.since, { pools: { epoch: "e1", seq: 77 } });
});

test("client: a subscription over the rate limit is asked for again when the server allows it, an accepted one is not", () => {
  const { clock, last, client, subscription } = setUp();
  last().open();
  last().tell({ type: "subscribed", data: { subscription_id: subscription.id, type: "events", streams: {} }, subscription_id: subscription.id });
  const second = client.subscribe({ type: "system_status", onEvent: () => {} });
  last().tell({ type: "error", data: { error: "Rate limit exceeded", code: "rate_limited", retry_after_ms: 3000 } });
  const sent = last().sent.length;
  clock.pass(2900);
  assert.equal(last().sent.length, sent);
  clock.pass(200);
  assert.deepEqual(last().sent.slice(sent).map((message) => message.subscription_id), [second.id]);
});

test("client: a refused subscription is told to who made it, and not repeated", () => {
  const { clock, last, client } = setUp();
  last().open();
  const errors: string[] = [];
  const wrong = client.subscribe({ type: "events", stream: "nowhere", onEvent: () => {}, onError: (error) => errors.push(error.code ?? "") });
  last().tell({ type: "error", data: { error: "Unknown stream", code: "unknown_stream", detail: "`nowhere`" }, subscription_id: wrong.id });
  assert.deepEqual(errors, ["unknown_stream"]);
  const sent = last().sent.length;
  clock.pass(15_000);
  assert.equal(last().sent.length, sent);
});

test("client: silence is asked about, then judged; an answer in time keeps the connection", () => {
  const { clock, last, sockets, client } = setUp();
  last().open();
  clock.pass(20_000);
  assert.deepEqual(last().sent.at(-1), { type: "ping" });
  last().tell({ type: "pong" });
  clock.pass(19_000);
  assert.equal(client.state.phase, "open");
  clock.pass(11_500);
  assert.equal(sockets[0]!.closed, true);
  assert.notEqual(client.state.phase, "open");
});

test("client: with a token, subscriptions wait for auth; a refused token stops the attempts", () => {
  const { clock, last, sockets, client } = setUp({ token: "secret" });
  last().open();
  assert.deepEqual(last().sent, [{ type: "auth", data: { token: "secret" } }]);
  last().tell({ type: "auth_success", data: { client_id: "x" } });
  assert.equal(last().sent.length, 2);
  last().lose();
  clock.pass(1000);
  last().open();
  last().tell({ type: "auth_failed", data: { error: "Invalid credentials" } });
  assert.equal(client.state.phase, "refused");
  clock.pass(600_000);
  assert.equal(sockets.length, 2);
  client.authenticate("better");
  assert.equal(sockets.length, 3);
});

test("client: foreign and malformed frames are survived", () => {
  const { last, events, client } = setUp();
  last().open();
  for (const data of ["", "{", "null", "[]", '"x"', '{"type":1}', '{"type":"data"}', '{"type":"news","data":{}}']) last().onmessage({ data });
  assert.equal(events.length, 0);
  assert.equal(client.state.phase, "open");
});

test("client: ended subscriptions are not made again", () => {
  const { clock, last, subscription } = setUp();
  last().open();
  subscription.end();
  assert.deepEqual(last().sent.at(-1), { type: "unsubscribe", data: { subscription_id: subscription.id } });
  last().lose();
  clock.pass(1000);
  last().open();
  assert.deepEqual(last().sent, []);
});

test("client: retryNow does not wait, close does not come back", () => {
  const { clock, last, sockets, client } = setUp();
  last().lose();
  client.retryNow();
  assert.equal(sockets.length, 2);
  client.close();
  clock.pass(600_000);
  assert.equal(sockets.length, 2);
});

test("backoff: doubles up to its cap, half of it by chance, and begins anew after a healthy connection", () => {
  const backoff = new Backoff(() => 0.999999, 500, 30_000, 10_000);
  const waits = Array.from({ length: 9 }, () => Math.round(backoff.next(0)));
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(Math.round(backoff.next(10_000)), 500);
  assert.equal(new Backoff(() => 0, 500).next(0), 250);
});

test("client: in a group it acknowledges what is done, in the order in which it came, and takes what is older than what it has (C-21)", async () => {
  const { last, client, clock } = setUp();
  const finish: (() => void)[] = [];
  const got: number[] = [];
  const shared = client.subscribe({
    type: "events", stream: "pools", group: "workers",
    onEvent: (d) => (got.push(d.position.seq), d.position.seq < 10 ? new Promise<void>((done) => finish.push(done)) : undefined),
  });
  last().open();
  const acks = () => last().sent.filter((m) => m.type === "ack").map((m) => m.data.positions.pools.seq);
  assert.deepEqual(last().sent[1], { type: "subscribe", data: { type: "events", filters: {}, stream: "pools", group: "workers", ack: true }, subscription_id: shared.id });
  for (const seq of [20, 7, 3, 21]) last().event(shared.id, seq);
  assert.deepEqual(got, [20, 7, 3, 21]);
  assert.deepEqual(acks(), [20]);
  finish[1]!();
  await Promise.resolve();
  assert.deepEqual(acks(), [20]); // 7 is still worked on
  finish[0]!();
  await Promise.resolve();
  assert.deepEqual(acks(), [20, 21]);
  last().event(shared.id, 5);
  last().lose();
  clock.pass(1000);
  last().open();
  finish[2]!(); // handed out again by now, perhaps to somebody else
  await Promise.resolve();
  assert.deepEqual(acks(), []);
});

test("client: a subscription that the server ends is over and told, and does not come back with the connection", () => {
  const clock = new Hand();
  const sockets: Socket[] = [];
  const client = new WeirClient("ws://weir/stream", { clock, socket: () => (sockets.push(new Socket()), sockets.at(-1)!) });
  const ended: string[] = [], got: number[] = [];
  const subscribe = (name: string) => client.subscribe({ type: "events", onEvent: (d) => got.push(d.position.seq), onEnded: () => ended.push(name) });
  client.connect();
  sockets[0]!.open();
  const one = subscribe("one"), two = subscribe("two"), three = subscribe("three");
  three.end();
  sockets[0]!.tell({ type: "unsubscribed", data: { subscription_id: three.id }, subscription_id: three.id });
  sockets[0]!.tell({ type: "unsubscribed", data: { subscription_id: one.id }, subscription_id: one.id });
  assert.deepEqual(ended, ["one"]);
  sockets[0]!.event(one.id, 1);
  sockets[0]!.event(two.id, 1);
  assert.deepEqual(got, [1]);
  sockets[0]!.lose();
  clock.pass(1000);
  sockets[1]!.open();
  assert.deepEqual(sockets[1]!.sent.filter((m) => m.type === "subscribe").map((m) => m.subscription_id), [two.id]);
});
