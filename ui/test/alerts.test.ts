import assert from "node:assert/strict";
import { test } from "node:test";
import { WeirClient, type SocketLike } from "weir-client";
import { Alerts, alerts_kept, lasting, limitText, valueText } from "../src/alerts.js";
import { ApiError } from "../src/api.js";
import type { Alert, AlertList } from "../src/contract.js";

const now = Date.UTC(2026, 1, 17, 10);
const iso = (ms: number) => new Date(ms).toISOString();

function alert(id: string, state: Alert["state"] = "firing", members: Partial<Alert> = {}): Alert {
  return {
    id, rule: "pool_full", name: "pool_full", title: `Title of ${id}`, severity: "warning", state, change: state, stream: "pools", key: "SSD-7", metric: "/currentfill", kind: "threshold",
    condition: "above", threshold: 100, value: 104, message: "104 is above 100", pending_at: iso(now - 60_000), triggered_at: state === "pending" || state === "inactive" ? null : iso(now - 60_000),
    resolved_at: state === "resolved" ? iso(now) : null, duration_seconds: state === "resolved" ? 60 : 0, acknowledged: false, ack_user: null, ack_reason: null, ack_reason_code: null,
    ack_on_behalf_of: null, acknowledged_at: null, shelved_until: null, shelved_by: null, shelf_reason: null, ...members,
  };
}
const event = (of: Alert) => of as unknown as Record<string, unknown>;

/** A weir whose answers come when the test says so. */
class Weir {
  asked: { what: string; body?: unknown; answer: (value: any) => void; refuse: (error: unknown) => void }[] = [];
  time = now;
  private readonly ask = (what: string, body?: unknown) => new Promise<any>((answer, refuse) => this.asked.push({ what, body, answer, refuse }));
  readonly api = { alerts: ({ state, limit }: { state: string; limit: string }): Promise<AlertList> => this.ask(`${state} ${limit}`), post: (path: string, body: unknown) => this.ask(path, body) };
  readonly alerts = new Alerts(() => {}, this.api as never, () => this.time);
  async answer(value: unknown) {
    this.asked.shift()!.answer(value);
    await settled();
  }
  async refuse(error: unknown) {
    this.asked.shift()!.refuse(error);
    await settled();
  }
  async load(...all: Alert[]) {
    const loaded = this.alerts.load();
    await this.answer({ alerts: all, complete: true });
    await loaded;
  }
  ids = () => [this.alerts.open, this.alerts.resolved].map((list) => list.map((a) => a.id).join(" "));
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("alerts: firing before pending, by severity, then the newest; after them the last resolved", async () => {
  const weir = new Weir();
  const at = (ms: number) => ({ triggered_at: iso(now - ms) });
  await weir.load(
    alert("p", "pending", { severity: "fatal" }), alert("old", "firing", at(9000)), alert("new", "firing", at(1000)), alert("info", "firing", { severity: "info", ...at(10) }),
    alert("critical", "firing", { severity: "critical", ...at(99_000) }), alert("r1", "resolved", { resolved_at: iso(now - 5000) }), alert("r2", "resolved", { resolved_at: iso(now - 1000) }), alert("gone", "inactive"),
  );
  assert.deepEqual(weir.ids(), ["critical new old info p", "r2 r1"]);
});

test("alerts: what wants somebody fires, and is neither acknowledged nor shelved; a shelf ends by the server's clock", async () => {
  const weir = new Weir();
  await weir.load(alert("a"), alert("b", "firing", { acknowledged: true }), alert("c", "firing", { shelved_until: iso(now + 5000) }), alert("d", "pending"), alert("e", "resolved"));
  assert.deepEqual(weir.alerts.calling.map((a) => a.id), ["a"]);
  weir.time = now + 5000;
  assert.deepEqual(weir.alerts.calling.map((a) => a.id).sort(), ["a", "c"]);
});

test("alerts: what comes live while history is asked for is newer than the answer, wherever the cut between them lies", async () => {
  const states = [alert("a", "pending"), alert("a"), alert("a", "firing", { acknowledged: true }), alert("a", "resolved", { acknowledged: true })];
  // The answer holds the first `held` changes, and live tells all from `first` on, in any mixture with the answer.
  for (let held = 0; held <= states.length; held += 1)
    for (let first = 0; first <= held; first += 1)
      for (let before = first; before <= states.length; before += 1) {
        const weir = new Weir();
        const loaded = weir.alerts.load();
        for (let i = first; i < before; i += 1) weir.alerts.take(event(states[i]!));
        await weir.answer({ alerts: held ? [states[held - 1]] : [], complete: true });
        await loaded;
        for (let i = before; i < states.length; i += 1) weir.alerts.take(event(states[i]!));
        assert.deepEqual(weir.alerts.known.get("a"), states[3], `${held} ${first} ${before}`);
        assert.equal(weir.alerts.known.size, 1);
      }
});

test("alerts: one that fell back is gone, and an older answer does not bring it back", async () => {
  const weir = new Weir();
  const loaded = weir.alerts.load();
  weir.alerts.take(event(alert("a", "inactive")));
  await weir.answer({ alerts: [alert("a", "pending")], complete: true });
  await loaded;
  assert.deepEqual(weir.ids(), ["", ""]);
});

test("alerts: what else the subscription brings is none", () => {
  const weir = new Weir();
  for (const body of [{ violation_id: 7, rule_id: 1, state: "open" }, { id: "", state: "firing" }, { id: "x" }, { id: "x", rule: "r", state: "burning" }, { id: 5, rule: "r", state: "firing" }]) weir.alerts.take(body);
  assert.equal(weir.alerts.known.size, 0);
});

test("alerts: what clients pushed is shown with what it says, live and from history", async () => {
  const weir = new Weir();
  void weir.alerts.load();
  await weir.answer({ alerts: [{ id: "bare", state: "firing" }, { id: 7 }, null, { id: "odd", state: "resolved", key: 5, triggered_at: "yesterday", value: "n/a" }], complete: true, reason_codes: { a: "A" } });
  weir.alerts.take({ id: "live", state: "pending", message: "the door is open" });
  assert.deepEqual(weir.ids(), ["bare live", "odd"]);
  const [bare, live] = weir.alerts.open as [Alert, Alert];
  assert.deepEqual([bare.title, live.title, lasting(bare, now), valueText(bare), weir.alerts.calling.length], ["bare", "the door is open", 0, "", 1]);
  assert.deepEqual([weir.alerts.resolved[0]!.triggered_at, weir.alerts.resolved[0]!.value, weir.alerts.reasons], [null, null, { a: "A" }]);
});

test("alerts: loaded again, what is not told any more is gone", async () => {
  const weir = new Weir();
  await weir.load(alert("a"), alert("b"));
  await weir.load(alert("b", "resolved"));
  assert.deepEqual(weir.ids(), ["", "b"]);
});

test("alerts: of two loads the later one counts, whichever is answered first", async () => {
  const weir = new Weir();
  void weir.alerts.load();
  void weir.alerts.load();
  weir.asked[1]!.answer({ alerts: [alert("new")], complete: true });
  await settled();
  weir.asked[0]!.answer({ alerts: [alert("old")], complete: true });
  await settled();
  assert.deepEqual(weir.ids(), ["new", ""]);
});

test("alerts: at most so many are kept, resolved ones go first, and open ones that are older than all of those are asked for", async () => {
  const weir = new Weir();
  const many = Array.from({ length: alerts_kept }, (_, i) => alert(`r${i}`, "resolved", { resolved_at: iso(now - i) }));
  void weir.alerts.load();
  await weir.answer({ alerts: many, complete: false });
  assert.equal(weir.asked[0]!.what, `open ${alerts_kept}`);
  await weir.answer({ alerts: [alert("old", "firing", { triggered_at: iso(now - 9e9) })], complete: true });
  assert.equal(weir.alerts.known.size, alerts_kept);
  assert.deepEqual(weir.alerts.open.map((a) => a.id), ["old"]);
  assert.ok(!weir.alerts.known.has(`r${alerts_kept - 1}`));
  assert.equal(weir.alerts.more_open, false);
  for (let i = 0; i < 2 * alerts_kept; i += 1) weir.alerts.take(event(alert(`live${i}`)));
  assert.equal(weir.alerts.known.size, alerts_kept);
  assert.deepEqual([weir.alerts.resolved.length, weir.alerts.more_open], [0, true]);
});

test("alerts: a deed is asked for as the interface wants it; its answer counts unless something newer came", async () => {
  const weir = new Weir();
  await weir.load(alert("a"), alert("b/c"));
  weir.alerts.pick("a", "acknowledge");
  const done = weir.alerts.acknowledge("a", { user: "ann", reason_code: "false_alarm" });
  assert.deepEqual([weir.asked[0]!.what, weir.asked[0]!.body], ["alerts/a/acknowledge", { user: "ann", reason_code: "false_alarm" }]);
  assert.equal(weir.alerts.asking, "a");
  weir.alerts.take(event(alert("a", "resolved", { acknowledged: true })));
  await weir.answer(alert("a", "firing", { acknowledged: true }));
  assert.equal(await done, true);
  assert.deepEqual([weir.alerts.known.get("a")!.state, weir.alerts.picked, weir.alerts.asking], ["resolved", null, null]);

  const shelved = weir.alerts.shelve("b/c", "8h", { user: "ann", reason: "cleaning" });
  assert.deepEqual([weir.asked[0]!.what, weir.asked[0]!.body], ["alerts/b%2Fc/shelve", { for: "8h", user: "ann", reason: "cleaning" }]);
  await weir.answer(alert("b/c", "firing", { shelved_until: iso(now + 8 * 3_600_000) }));
  assert.equal(await shelved, true);
  assert.ok(weir.alerts.isShelved(weir.alerts.known.get("b/c")!));
  void weir.alerts.unshelve("b/c", "ann");
  assert.deepEqual([weir.asked[0]!.what, weir.asked[0]!.body], ["alerts/b%2Fc/unshelve", { user: "ann" }]);
});

test("alerts: a refusal is said of its alert, and its form stays; who was slower sees what the other did", async () => {
  const weir = new Weir();
  await weir.load(alert("a"));
  weir.alerts.pick("a", "acknowledge");
  void weir.alerts.acknowledge("a", { user: "ann", reason: "x" });
  await weir.refuse(new ApiError(403, "forbidden", "Forbidden", "the token lacks `acknowledge`"));
  assert.equal(weir.alerts.refused.get("a"), "the token lacks `acknowledge`");
  assert.deepEqual(weir.alerts.picked, { id: "a", deed: "acknowledge" });
  assert.equal(weir.asked.length, 0);

  void weir.alerts.acknowledge("a", { user: "ann", reason: "x" });
  assert.equal(weir.alerts.refused.size, 0, "the earlier refusal is over once it is tried again");
  await weir.refuse(new ApiError(409, "already_acknowledged", "Already acknowledged"));
  assert.equal(weir.alerts.refused.get("a"), "Already acknowledged");
  await weir.answer({ alerts: [alert("a", "firing", { acknowledged: true, ack_user: "ben" })], complete: true });
  assert.equal(weir.alerts.known.get("a")!.ack_user, "ben");
  assert.equal(weir.alerts.refused.get("a"), "Already acknowledged");
  weir.alerts.pick(null);
  assert.equal(weir.alerts.refused.size, 0);
});

test("alerts: a weir without them is quiet, one that fails is told of, and what was known stays", async () => {
  const weir = new Weir();
  void weir.alerts.load();
  await weir.refuse(new ApiError(404, "not_found", "no such thing"));
  assert.deepEqual([weir.alerts.trouble, weir.alerts.known.size], ["", 0]);
  await weir.load(alert("a"));
  void weir.alerts.load();
  await weir.refuse(new ApiError(500, "internal", "the log could not be read"));
  assert.deepEqual([weir.alerts.trouble, weir.ids()[0]], ["the log could not be read", "a"]);
  await weir.load(alert("a"));
  assert.equal(weir.alerts.trouble, "");
});

test("alerts: over a real client, a reconnection goes on where it was, and a gap or another log loads all again", async () => {
  const weir = new Weir();
  const sockets: any[] = [];
  const socket = () => {
    const made = { readyState: 0, sent: [] as any[], send: (text: string) => made.sent.push(JSON.parse(text)), close: () => {}, onopen: null as any, onmessage: null as any, onclose: null as any, onerror: null as any };
    sockets.push(made);
    return made as SocketLike;
  };
  const waits: (() => void)[] = [];
  const clock = { now: () => 0, random: () => 0.5, after: (_ms: number, then: () => void) => (waits.push(then), () => void waits.splice(waits.indexOf(then), 1)) };
  const client = new WeirClient("ws://x", { socket, clock });
  weir.alerts.follow(client);
  client.connect();
  const open = () => {
    const of = sockets.at(-1);
    of.readyState = 1;
    of.onopen({});
    return of.sent.find((m: any) => m.type === "subscribe");
  };
  const tell = (message: object) => sockets.at(-1).onmessage({ data: JSON.stringify(message) });
  const data = (of: Alert, seq: number, epoch = "e1") => tell({ type: "data", data: { alert: of, subscription_type: "alerts" }, subscription_id: "c1", timestamp: iso(now), metadata: { stream: "alerts", seq, epoch } });
  const loads = async (...all: Alert[]) => {
    assert.equal(weir.asked.length, 1, "it was not asked for");
    await weir.answer({ alerts: all, complete: true });
  };

  assert.equal(open().data.type, "alerts");
  tell({ type: "subscribed", data: { subscription_id: "c1", streams: { alerts: { epoch: "e1", seq: 4 } } }, subscription_id: "c1" });
  assert.equal(weir.alerts.live, true);
  await loads(alert("a"));
  data(alert("b"), 5);
  data(alert("b", "resolved"), 5);
  assert.deepEqual(weir.ids(), ["a b", ""], "a repeat changes nothing");

  sockets.at(-1).onclose({ code: 1006 });
  waits.at(-1)!();
  assert.deepEqual(open().data.since, { alerts: { epoch: "e1", seq: 5 } });
  tell({ type: "subscribed", data: { subscription_id: "c1" }, subscription_id: "c1" });
  data(alert("c"), 6);
  await loads(alert("a"), alert("b"));
  assert.deepEqual(weir.ids(), ["a b c", ""]);

  tell({ type: "gap", data: { stream: "alerts", epoch: "e1", from_seq: 7, to_seq: 9, reason: "retention" }, subscription_id: "c1" });
  await loads(alert("d"));
  assert.deepEqual(weir.ids(), ["d", ""]);
  data(alert("e"), 1, "e2");
  await loads(alert("e"));
  assert.deepEqual(weir.ids(), ["e", ""]);
  tell({ type: "unsubscribed", data: { subscription_id: "c1" }, subscription_id: "c1" });
  assert.equal(weir.alerts.live, false);
});

test("alerts: a value stands with its limit, as it was when the condition held, and as it is now", () => {
  assert.equal(valueText(alert("a")), "104 is above 100");
  assert.equal(valueText(alert("a", "firing", { value: 96 })), "104 is above 100; now 96");
  assert.equal(valueText(alert("a", "resolved", { value: 88 })), "104 is above 100; then 88");
  assert.equal(valueText(alert("a", "firing", { message: "", value: 1902 })), "1,902, above 100");
  assert.equal(valueText(alert("a", "firing", { kind: "silence", value: null, condition: null, threshold: null, message: "nothing since 2026-02-17T09:00:00.000Z" }), (time) => time.slice(11, 16)), "nothing since 09:00");
  assert.equal(limitText(alert("a", "firing", { condition: "not_equals", threshold: 0 })), "not equal to 0");
  assert.deepEqual([lasting(alert("a"), now), lasting(alert("a", "pending"), now), lasting(alert("a", "resolved"), now + 5000)], [60_000, 60_000, 60_000]);
});

test("alerts: a chart marks what fired of its own series and field", async () => {
  const weir = new Weir();
  await weir.load(alert("a"), alert("other key", "firing", { key: "SSD-4" }), alert("other field", "firing", { metric: "/freespace" }), alert("whole event", "resolved", { metric: "" }), alert("p", "pending"));
  assert.deepEqual(weir.alerts.firedAt("pools", "SSD-7", "/currentfill").map((a) => a.id).sort(), ["a", "whole event"]);
});
