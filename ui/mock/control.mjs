// Control charts for the mock: two characteristics with invented samples, the same at each start. A shift, an outlier and a wide range are put in.
const limits = { centre: 25, sigma: 0.05 };
const d2 = 2.32593, d3 = 0.86408;
const zoneOf = (x, centre, width) => {
  const k = (x - centre) / width;
  if (k > 3) return "beyond_ucl";
  if (k < -3) return "beyond_lcl";
  const letter = Math.abs(k) > 2 ? "a" : Math.abs(k) > 1 ? "b" : "c";
  return `zone_${letter}_${k >= 0 ? "upper" : "lower"}`;
};

/** Answers of the control chart part of the HTTP interface, and what a subscriber of the spc dialect gets. */
export class Control {
  constructor({ now, count = 260, interval = 60_000 }) {
    this.interval = interval;
    this.began = now - count * interval;
    this.samples = new Map([[1, []], [2, []]]);
    this.violations = new Map();
    this.listeners = new Set();
    this.definitions = new Map();
    /** Told of each definition that was put: the stream of them. */
    this.onDefinition = () => {};
    this.seed = 12345;
    for (let i = 0; i < count; i++) for (const id of [1, 2]) this.add(id, this.began + i * interval);
  }
  noise() {
    let sum = 0;
    for (let i = 0; i < 12; i++) {
      this.seed = (this.seed * 1103515245 + 12345) % 2147483648;
      sum += this.seed / 2147483648;
    }
    return sum - 6;
  }
  add(id, time) {
    const list = this.samples.get(id);
    const i = list.length;
    const shift = i === 200 ? 0.12 : i >= 225 && i < 238 ? 0.03 : 0;
    const values = Array.from({ length: 5 }, () => Math.round((limits.centre + shift + (i === 214 ? 3 : 1) * limits.sigma * this.noise()) * 1000) / 1000);
    const mean = values.reduce((a, b) => a + b) / 5;
    const range = Math.max(...values) - Math.min(...values);
    const version = i < 120 ? 2 : 3;
    const width = (limits.sigma / Math.sqrt(5)) * (version === 2 ? 1.15 : 1);
    const spread = { chart: "R", statistic: range, centre: d2 * limits.sigma, lcl: 0, ucl: (d2 + 3 * d3) * limits.sigma, zone_width: d3 * limits.sigma };
    const sample = {
      sample_id: id * 100_000 + i, characteristic_id: id, timestamp: new Date(time).toISOString(), value: mean, zone: zoneOf(mean, limits.centre, width), in_control: true, values,
      limits_version: version, statistic: mean, centre: limits.centre, lcl: limits.centre - 3 * width, ucl: limits.centre + 3 * width, zone_width: width,
      spread: { ...spread, zone: zoneOf(range, spread.centre, spread.zone_width) }, excluded: false, revision: 1,
    };
    list.push(sample);
    const above = list.slice(-9).every((s) => s.value > s.centre) && list.length >= 9 && !(list.length > 9 && list.at(-10).value > list.at(-10).centre);
    const out = [];
    if (sample.zone.startsWith("beyond")) out.push(["xbar", 1, "One point beyond 3 sigma", "CRITICAL", "Outlier", [sample]]);
    if (above) out.push(["xbar", 2, "Nine points in a row on one side of the centre line", "WARNING", "Shift", list.slice(-9)]);
    if (sample.spread.zone.startsWith("beyond")) out.push(["R", 1, "One point beyond 3 sigma", "CRITICAL", "Outlier", [sample]]);
    sample.in_control = out.length === 0;
    this.tell("sample", sample);
    for (const [chart, rule_id, rule_name, severity, short_name, pattern] of out) {
      const violation = {
        violation_id: sample.sample_id * 100 + rule_id + (chart === "R" ? 50 : 0), characteristic_id: id, sample_id: sample.sample_id, rule_id, rule_name, severity, short_name,
        description: rule_name.toLowerCase(), chart, side: "upper", timestamp: sample.timestamp, samples: pattern.map((s) => ({ sample_id: s.sample_id })), limits: { version },
        name: this.characteristic(id).name, requires_ack: id === 2, acknowledged: false, state: "open",
      };
      this.violations.set(violation.violation_id, violation);
      this.tell("violation", violation);
    }
  }
  tell(type, payload) {
    for (const listener of this.listeners) listener({ type, payload, details: {} });
  }
  /** [status, answer] */
  create(body) {
    if (this.samples.has(body.id)) return [409, { error: { code: "characteristic_exists", message: "Characteristic exists", detail: `characteristic ${body.id} is there already; put or change it instead` } }];
    this.samples.set(body.id, []);
    const versions = body.limits ? [{ version: 1, from: null, chart: body.chart, origin: { kind: "given" }, ...body.limits }] : [{ version: 1, from: null, chart: body.chart, origin: { kind: "awaiting" }, centre: null, sigma: null }];
    const made = { ...body, characteristic_id: body.id, retired: false, rules_on: [], limits_versions: versions, capability: null, gathering: null };
    this.definitions.set(body.id, made);
    this.onDefinition(made);
    return [201, { characteristic_id: body.id, limits_version: 1 }];
  }
  /** Single readings of a subgroup that is not complete. */
  gather(id, values, of) {
    const told = { characteristic_id: id, gathered: values.length, of, values };
    this.definitions.get(id).gathering = told;
    this.tell("gathering", told);
  }
  characteristic(id) {
    const made = this.definitions.get(id);
    if (made) return made;
    return {
      characteristic_id: id, id, name: id === 1 ? "Bore diameter" : "Shaft diameter", unit: "mm", path: "plant1/line1", chart: "xbar_r", retired: false, spec: { lsl: 24.8, usl: 25.2, target: 25 },
      rules_on: [{ rule_id: 1, rule_name: "One point beyond 3 sigma", short_name: "Outlier", severity: "CRITICAL" }],
      limits_versions: [
        { version: 2, from: null, chart: "xbar_r", origin: { kind: "estimated", samples: 25, excluded: [] }, centre: limits.centre, sigma: 1.15 * limits.sigma },
        { version: 3, from: new Date(this.began + 120 * this.interval).toISOString(), chart: "xbar_r", origin: { kind: "given" }, ...limits },
      ],
      capability: { cp: { value: 1.33, low: 1.2, high: 1.46 }, cpk: { value: 1.31, low: 1.18, high: 1.44 }, pp: { value: 1.3, low: 1.2, high: 1.4 }, ppk: { value: 1.28, low: 1.16, high: 1.4 }, count: 1300 },
    };
  }
  answers() {
    return {
      characteristics: () => ({ characteristics: [...this.samples.keys()].map((id) => this.characteristic(id)), reason_codes: { tool_wear: "Tool wear", process_adjusted: "Process adjusted" } }),
      samples: (query) => {
        const id = Number(query.get("characteristic_id"));
        const to = query.get("to");
        const found = this.samples.get(id).filter((s) => !to || s.timestamp < to || (s.timestamp === to && s.sample_id < Number(query.get("before") ?? 0)));
        const samples = found.slice(-Number(query.get("limit") ?? 200));
        return { characteristic_id: id, samples, complete: true, earlier: samples.length < found.length ? { to: samples[0].timestamp, before: samples[0].sample_id } : null };
      },
      violations: (query) => {
        const id = query.get("characteristic_id");
        return { complete: true, violations: [...this.violations.values()].filter((v) => v.state === (query.get("state") ?? "open") && (!id || v.characteristic_id === Number(id))).reverse() };
      },
    };
  }
  /** [status, answer] */
  acknowledgeAll(body) {
    const ids = [...this.violations.values()].filter((v) => v.state === "open" && v.characteristic_id === body.characteristic_id).map((v) => v.violation_id);
    for (const id of ids) this.acknowledge(id, body);
    return [200, { acknowledged: ids, refused: [] }];
  }
  acknowledge(id, body) {
    const violation = this.violations.get(id);
    if (!violation) return [404, { error: { code: "unknown_violation", message: "Unknown violation", detail: String(id) } }];
    if (violation.acknowledged) return [409, { error: { code: "already_acknowledged", message: "Already acknowledged", detail: `violation ${id} was acknowledged by ${violation.ack_user}` } }];
    Object.assign(violation, { acknowledged: true, state: "acknowledged", ack_user: body.user, ack_reason: body.reason ?? body.reason_code });
    this.tell("ack_update", { violation_id: id, characteristic_id: violation.characteristic_id, acknowledged: true, ack_user: violation.ack_user, ack_reason: violation.ack_reason });
    return [200, { acknowledged: [id], refused: [] }];
  }
}
