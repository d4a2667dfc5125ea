// Alerts for the mock: episodes found in the simulated past, a few that are put in, and one rule that fires and resolves as time goes on. What is done to
// them changes them, and is told to who has subscribed.
const minute = 60_000;
const hour = 60 * minute;
const deeds = { acknowledge: "acknowledged", shelve: "shelved", unshelve: "unshelved" };
const refuse = (status, code, detail) => [status, { error: { code, message: code.replaceAll("_", " "), detail } }];

export class Alerts {
  /** `cycle`: how long the living rule takes from one firing to the next; 0: it never fires. `quiet`: there are none. */
  constructor({ now, history, cycle = 60_000, quiet = false }) {
    this.history = history;
    this.cycle = cycle;
    this.began = now;
    this.all = new Map();
    /** Each change in order: { seq, alert as it was then }. */
    this.events = [];
    this.onEvent = () => {};
    this.count = 0;
    this.living = null;
    if (!quiet) this.fill(now);
  }

  fill(now) {
    const ago = (ms) => now - ms;
    const warm = this.add({ rule: "oven_warm", title: "Oven too warm", severity: "warning", stream: "line", key: "oven", metric: "/measured/temperature_c", threshold: 70, value: 70.6, since: ago(3 * hour) });
    this.resolve(warm.id, ago(2.5 * hour));
    this.busy("LETZI-1", "Freibad Letzigraben is busy", "info", now);
    this.busy("SSD-7", "Hallenbad Oerlikon is busy", "warning", now);
    this.add({ rule: "silent", title: "Nothing from the lathe", severity: "critical", kind: "silence", stream: "line", key: "lathe", value: null, message: `nothing since ${new Date(ago(14 * minute)).toISOString()}`, since: ago(12 * minute) });
    const known = this.add({ rule: "out_of_control", title: "Shaft diameter out of control", severity: "critical", kind: "violation", stream: "spc.violations", key: "2", value: 3, message: "3 violations are not acknowledged", since: ago(47 * minute) });
    this.change(known.id, "acknowledged", { acknowledged: true, ack_user: "ann", ack_reason: null, ack_reason_code: "tool_wear", acknowledged_at: new Date(ago(31 * minute)).toISOString() });
    const drift = this.add({ rule: "filling_fast", title: "Hallenbad City fills fast", severity: "warning", kind: "rate", stream: "pools", key: "SSD-4", metric: "/currentfill", threshold: 20, value: 26, message: "changes by 26 in 10min, above 20", since: ago(26 * minute) });
    this.change(drift.id, "shelved", { shelved_until: new Date(now + 2 * hour).toISOString(), shelved_by: "ben", shelf_reason: "swimming lessons" });
    this.add({ rule: "pool_full", title: "Wärmebad Käferberg is full", severity: "critical", state: "pending", stream: "pools", key: "SSD-5", metric: "/currentfill", threshold: 60, value: 61, since: ago(40_000) });
  }

  /** Episodes in which a pool held much of what it held at most during the last day. */
  busy(key, title, severity, now) {
    const { keys, data } = this.history.streams.pools;
    const at = keys.indexOf(key);
    if (at < 0) return;
    const readings = [];
    for (let time = now - 24 * hour; time <= now; time += 5 * minute) readings.push([time, data(at, time).currentfill]);
    const threshold = Math.round((0.8 * Math.max(...readings.map(([, value]) => value))) / 10) * 10;
    let open = null;
    for (const [time, value] of readings) {
      if (!open && value > threshold) open = this.add({ rule: "busy", title, severity, stream: "pools", key, metric: "/currentfill", threshold, value, since: time });
      else if (open && value < threshold * 0.9) {
        this.resolve(open.id, time);
        open = null;
      }
    }
  }

  /** A new episode, told as it begins. */
  add({ rule, title, severity = "warning", state = "firing", kind = "threshold", stream, key, metric = "", threshold = null, value = null, message, since }) {
    this.count += 1;
    const time = new Date(since).toISOString();
    const alert = {
      id: (0x3f0c0000 + this.count).toString(16).padStart(32, "0"), rule, name: rule, title, severity, state, change: state, stream, key, metric, kind,
      condition: threshold === null ? null : "above", threshold, clear: threshold, value, message: message ?? `${value} is above ${threshold}`,
      pending_at: time, triggered_at: state === "firing" ? time : null, resolved_at: null, duration_seconds: 0, acknowledged: false, ack_user: null, ack_reason: null,
      ack_reason_code: null, acknowledged_at: null, shelved_until: null, shelved_by: null, shelf_reason: null, labels: {}, cause: null,
    };
    return this.tell(alert);
  }
  fire(id, now) {
    return this.change(id, "firing", { state: "firing", triggered_at: new Date(now).toISOString() });
  }
  resolve(id, now) {
    const alert = this.all.get(id);
    return this.change(id, "resolved", { state: "resolved", resolved_at: new Date(now).toISOString(), duration_seconds: (now - Date.parse(alert.triggered_at)) / 1000 });
  }
  change(id, change, members) {
    return this.tell({ ...this.all.get(id), ...members, change });
  }
  tell(alert) {
    this.all.delete(alert.id);
    this.all.set(alert.id, alert);
    const event = { seq: this.events.length + 1, alert };
    this.events.push(event);
    this.onEvent(event);
    return alert;
  }

  /** What time brings: the living rule, and shelves that end. */
  tick(now) {
    for (const alert of this.all.values())
      if (alert.shelved_until && Date.parse(alert.shelved_until) <= now) this.change(alert.id, "unshelved", { shelved_until: null, shelved_by: null, shelf_reason: null });
    if (!this.cycle) return;
    const part = ((now - this.began) % this.cycle) / this.cycle;
    const phase = part < 0.25 ? "quiet" : part < 0.4 ? "pending" : "firing";
    const open = this.living && ["pending", "firing"].includes(this.all.get(this.living).state) ? this.all.get(this.living).state : "quiet";
    if (phase === open) return;
    if (phase === "quiet") this.resolve(this.living, now);
    else if (open === "quiet") this.living = this.add({ rule: "bore_wide", title: "Bore too wide", severity: "critical", state: phase, stream: "line", key: "press-1", metric: "/measured/diameter_mm", threshold: 74.02, value: 74.024, since: now }).id;
    else if (phase === "firing") this.fire(this.living, now);
  }

  /** [status, answer] */
  answer(query, id) {
    if (id) return this.all.has(id) ? [200, this.all.get(id)] : refuse(404, "unknown_alert", `there is no alert ${id}`);
    const state = query.get("state") ?? "open";
    const wanted = { open: ["pending", "firing"], all: ["pending", "firing", "resolved", "inactive"] }[state] ?? [state];
    const found = [...this.all.values()].filter((alert) => wanted.includes(alert.state)).reverse();
    const limit = Number(query.get("limit") ?? 100);
    return [200, { alerts: found.slice(0, limit), complete: found.length < limit, reason_codes: { false_alarm: "False alarm", tool_wear: "Tool wear" } }];
  }

  /** [status, answer] */
  act(id, deed, body, now) {
    const alert = this.all.get(id);
    if (!alert) return refuse(404, "unknown_alert", `there is no alert ${id}, or a later one has taken its place`);
    if (!deeds[deed]) return refuse(404, "not_found", "no such thing");
    if (!body.user) return refuse(422, "bad_member", "`user` is missing");
    if (deed === "acknowledge") {
      if (!alert.triggered_at) return refuse(409, "alert_not_open", `alert ${id} has not fired`);
      if (alert.acknowledged) return refuse(409, "already_acknowledged", `alert ${id} was acknowledged by ${alert.ack_user} at ${alert.acknowledged_at}`);
      return [200, this.change(id, deeds[deed], { acknowledged: true, ack_user: body.user, ack_reason: body.reason ?? null, ack_reason_code: body.reason_code ?? null, acknowledged_at: new Date(now).toISOString() })];
    }
    if (deed === "unshelve") {
      if (!alert.shelved_until) return refuse(409, "not_shelved", `alert ${id} is not shelved`);
      return [200, this.change(id, deeds[deed], { shelved_until: null, shelved_by: null, shelf_reason: null })];
    }
    const [, count, unit] = /^(\d+)(min|h|d)$/.exec(body.for ?? "") ?? [];
    if (!unit) return refuse(422, "bad_member", "`for` is missing or no duration");
    const until = now + Number(count) * { min: minute, h: hour, d: 24 * hour }[unit];
    return [200, this.change(id, deeds[deed], { shelved_until: new Date(until).toISOString(), shelved_by: body.user, shelf_reason: body.reason ?? null })];
  }
}
