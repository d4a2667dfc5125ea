/**
 * Control charts: what the page knows of characteristics, their samples and violations, and how it comes to know it. History comes over HTTP;
 * then the spc dialect brings each sample and violation as it is judged. Nothing is polled while the socket is open.
 */
import { reasonText, type Said } from "./acknowledgement.js";
import { refusal, type Api } from "./api.js";

export interface Lines {
  statistic: number;
  centre: number;
  lcl: number;
  ucl: number;
  zone_width: number;
}

export interface Sample extends Partial<Lines> {
  sample_id: number;
  characteristic_id: number;
  timestamp: string;
  value: number;
  zone: string | null;
  in_control: boolean;
  values: number[];
  limits_version: number;
  excluded: boolean;
  spread?: Lines & { chart: string; zone: string };
  cusum?: { upper: number; lower: number };
  signals?: { rule_id: number; chart: string; side: string }[];
}

/** Samples in order of time, and what to ask for those before them, where there are any. */
interface SamplePage {
  samples: Sample[];
  earlier: { to: string; before: number } | null;
}

export interface Violation {
  violation_id: number;
  characteristic_id: number;
  sample_id: number;
  rule_id: number;
  rule_name: string;
  severity: string;
  short_name: string;
  description: string;
  chart: string;
  side: string;
  timestamp: string;
  samples: { sample_id: number }[];
  limits: { version: number };
  name: string;
  requires_ack: boolean;
  acknowledged: boolean;
  ack_user?: string;
  /** Whom the request named, where weir knew who made it. */
  ack_on_behalf_of?: string;
  ack_reason?: string;
  state?: string;
}

export interface Index {
  value: number;
  low: number;
  high: number;
}

/** One version of the limits: from when it holds, and where it is from. */
export interface Limits {
  version: number;
  from: string | null;
  chart: string;
  origin: { kind: string; samples?: number; excluded?: number[] };
  centre: number | null;
  sigma: number | null;
  limit_sigmas?: number;
}

export interface Characteristic {
  characteristic_id: number;
  name?: string;
  unit?: string;
  path?: string;
  chart: string;
  retired: boolean;
  spec?: { lsl?: number; usl?: number; target?: number };
  rules_on: { rule_id: number; rule_name: string; short_name: string; severity: string }[];
  limits_versions: Limits[];
  /** Nothing came for one and a half of `expected_every`. */
  collection_missed?: boolean;
  /** Single readings of a subgroup that is not complete. */
  gathering?: { gathered: number; of: number; values: number[] } | null;
  capability: { cp: Index | null; cpk: Index | null; pp: Index | null; ppk: Index | null; count: number } | null;
}

/** What the form for a new one gives: docs/http-api.md has all that there could be. */
export interface Definition {
  id: number;
  [member: string]: unknown;
}

/** Samples kept for the chosen chart; more of the past is asked for in pages of as many. */
const page_samples = 200;
const samples_most = 5000;
const ping_every = 30_000;

export class ControlCharts {
  characteristics: Characteristic[] = [];
  reasons: Record<string, string> = {};
  chosen: number | null = null;
  /** Of the chosen characteristic, in order of (time, id). */
  samples: Sample[] = [];
  /** All that are neither withdrawn nor acknowledged, of all characteristics, and those acknowledged of the chosen one. */
  readonly violations = new Map<number, Violation>();
  /** The violation whose form is open; `all`: one form for all open ones of the chosen characteristic. */
  picked: number | "all" | null = null;
  trouble = "";
  live = false;
  /** weir judges samples, and this page may see it. */
  available = false;
  /** The form for a new characteristic is open. */
  making = false;
  more_before = true;
  /** There may be open violations that are not among these: too many, or too long ago. */
  more_open = false;
  /** Grows with each change of the samples. */
  version = 0;

  private retry = 1000;
  private turn = 0;
  private socket: WebSocket | null = null;
  private loading = false;

  constructor(
    private readonly base: URL,
    private readonly changed: () => void,
    private readonly api: Api,
  ) {}

  async start(): Promise<void> {
    try {
      await this.loadAll();
    } catch {
      setTimeout(() => void this.start(), 10_000);
    }
  }

  /** Everything anew: who subscribed to definitions may have missed some before that. */
  async reload(): Promise<void> {
    await this.loadAll().catch(() => {});
  }

  get open(): Violation[] {
    return [...this.violations.values()].filter((v) => !v.acknowledged).sort((a, b) => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : b.violation_id - a.violation_id));
  }

  get current(): Characteristic | undefined {
    return this.characteristics.find((c) => c.characteristic_id === this.chosen);
  }

  violationsAt(sample: number, spread: boolean): Violation[] {
    return [...this.violations.values()].filter((v) => v.characteristic_id === this.chosen && v.sample_id === sample && isSpread(v.chart) === spread);
  }

  choose(id: number): void {
    this.chosen = id;
    this.picked = null;
    this.samples = [];
    this.more_before = true;
    this.version++;
    this.changed();
    void this.loadChosen();
  }

  make(open: boolean): void {
    this.making = open;
    this.changed();
  }

  /** Null when it was created (and is shown), else why not. */
  async create(definition: Definition): Promise<string | null> {
    try {
      await this.api.post("characteristics", definition);
    } catch (error) {
      return refusal(error);
    }
    this.making = false;
    await this.reload();
    this.choose(definition.id);
    return null;
  }

  /** A definition as its stream tells it: a new one is followed from now on, a retired one is gone. */
  learn(told: Characteristic): void {
    const known = this.characteristics.find((c) => c.characteristic_id === told.characteristic_id);
    const others = this.characteristics.filter((c) => c !== known);
    // Capability and readings gathered are told by themselves.
    const now = { ...told, capability: known?.capability ?? told.capability ?? null, gathering: known?.gathering ?? told.gathering ?? null };
    this.characteristics = told.retired ? others : [...others, now].sort((a, b) => a.characteristic_id - b.characteristic_id);
    if (!known && !told.retired) this.follow([told.characteristic_id]);
    if (!this.current) {
      if (this.characteristics[0]) return this.choose(this.characteristics[0].characteristic_id);
      this.chosen = null;
    }
    this.changed();
  }

  pick(violation: number | "all" | null): void {
    const v = typeof violation === "number" ? this.violations.get(violation) : undefined;
    if (v && v.characteristic_id !== this.chosen) this.choose(v.characteristic_id);
    this.picked = violation;
    this.changed();
  }

  async earlier(): Promise<void> {
    const first = this.samples[0];
    if (!first || this.loading || this.samples.length >= samples_most) return;
    this.loading = true;
    const turn = this.turn;
    try {
      // Samples of the very same time are told apart by their ids.
      const before = { to: first.timestamp, before: String(first.sample_id) };
      const answer = await this.api.get<SamplePage>("samples", { characteristic_id: String(this.chosen), ...before, limit: String(page_samples) });
      if (turn !== this.turn) return;
      this.more_before = answer.earlier !== null;
      for (const sample of answer.samples) this.put(sample);
      this.trouble = "";
    } catch (error) {
      this.trouble = (error as Error).message;
    } finally {
      this.loading = false;
      this.changed();
    }
  }

  /** Null when it was done, else why not. */
  async acknowledge(violation: number | "all", said: Said, exclude: boolean): Promise<string | null> {
    const all = violation === "all" ? { characteristic_id: this.chosen } : {};
    const body = { ...all, ...said, ...(exclude ? { exclude_sample: true } : {}) };
    let told: { acknowledged?: number[] };
    try {
      told = await this.api.post(violation === "all" ? "violations/acknowledge" : `violations/${violation}/acknowledge`, body);
    } catch (error) {
      return refusal(error);
    }
    for (const id of told.acknowledged ?? []) {
      const known = this.violations.get(id);
      // Who did it is told by weir, which knows whose token this is.
      if (known && !known.acknowledged) this.violations.set(id, { ...known, acknowledged: true, ack_user: said.user, ack_reason: said.reason ?? reasonText(this.reasons, said.reason_code) });
    }
    this.picked = null;
    this.changed();
    return null;
  }

  // Live

  private connect(): void {
    const url = new URL("ws", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    const { token } = this.api;
    if (token) url.searchParams.set("token", token);
    const socket = new WebSocket(url);
    this.socket = socket;
    let ping = 0;
    socket.onopen = () => {
      this.retry = 1000;
      this.live = true;
      this.follow(this.characteristics.map((c) => c.characteristic_id));
      // The server takes a client for stale that says nothing (S3-10).
      ping = window.setInterval(() => socket.send('{"type":"ping"}'), ping_every);
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data as string);
      if (message.type === "subscribed") void this.loadAll().catch(() => {});
      else this.take(message.type, { ...message.payload, ...message.details });
    };
    socket.onclose = () => {
      clearInterval(ping);
      this.live = false;
      this.changed();
      setTimeout(() => this.connect(), this.retry);
      this.retry = Math.min(this.retry * 2, 30_000);
    };
  }

  /** Opens the socket where there is none yet: it follows all that are known then. */
  private follow(ids: number[]): void {
    if (!this.socket) this.connect();
    else if (this.socket.readyState === WebSocket.OPEN && ids.length > 0) this.socket.send(JSON.stringify({ type: "subscribe", characteristic_ids: ids }));
  }

  take(type: string, data: any): void {
    if (type === "sample") {
      if (data.characteristic_id !== this.chosen) return;
      this.put(data as Sample);
      // The newest are what is watched; the past stays a page away.
      if (this.samples.length > samples_most) this.samples.splice(0, this.samples.length - samples_most);
    } else if (type === "violation") {
      this.violations.set(data.violation_id, data as Violation);
    } else if (type === "violation_withdrawn") {
      this.violations.delete(data.violation_id);
      if (this.picked === data.violation_id) this.picked = null;
    } else if (type === "ack_update") {
      const known = this.violations.get(data.violation_id);
      if (known) this.violations.set(data.violation_id, { ...known, acknowledged: true, ack_user: data.ack_user, ack_on_behalf_of: data.ack_on_behalf_of, ack_reason: data.ack_reason });
    } else if (type === "characteristic") {
      return this.learn(data as Characteristic);
    } else if (type === "capability" || type === "gathering") {
      this.characteristics = this.characteristics.map((c) => (c.characteristic_id === data.characteristic_id ? { ...c, [type]: data } : c));
    } else return;
    this.changed();
  }

  private put(sample: Sample): void {
    this.version++;
    const known = this.samples.findIndex((s) => s.sample_id === sample.sample_id);
    if (known >= 0) this.samples.splice(known, 1);
    let at = this.samples.length;
    while (at > 0 && isBefore(sample, this.samples[at - 1]!)) at--;
    this.samples.splice(at, 0, sample);
  }

  // Asking

  private async loadAll(): Promise<void> {
    const answer = await this.api.get<{ characteristics: Characteristic[]; reason_codes: Record<string, string> }>("characteristics");
    this.characteristics = answer.characteristics.filter((c) => !c.retired);
    this.reasons = answer.reason_codes ?? {};
    this.available = true;
    this.changed();
    if (this.chosen === null || !this.current) this.chosen = this.characteristics[0]?.characteristic_id ?? null;
    if (this.chosen === null) return;
    if (!this.socket) this.connect();
    const open = await this.api.get<{ violations: Violation[]; complete: boolean }>("violations", { state: "open", limit: "1000" });
    this.more_open = !open.complete;
    this.violations.clear();
    for (const violation of open.violations) this.violations.set(violation.violation_id, violation);
    await this.loadChosen();
  }

  private async loadChosen(): Promise<void> {
    const turn = ++this.turn;
    const id = String(this.chosen);
    try {
      const [samples, known] = await Promise.all([
        this.api.get<SamplePage>("samples", { characteristic_id: id, limit: String(page_samples) }),
        this.api.get<{ violations: Violation[] }>("violations", { characteristic_id: id, state: "acknowledged", limit: "1000" }),
      ]);
      if (turn !== this.turn) return;
      const newer = this.samples;
      this.samples = samples.samples;
      this.more_before = samples.earlier !== null;
      for (const sample of newer) if (!this.samples.some((s) => s.sample_id === sample.sample_id)) this.put(sample);
      for (const violation of known.violations) this.violations.set(violation.violation_id, violation);
      this.version++;
      this.trouble = "";
    } catch (error) {
      this.trouble = (error as Error).message;
    }
    this.changed();
  }
}

/** Kinds of charts, by what people call them. */
export const chart_names: Record<string, string> = {
  i_mr: "Individuals and moving range", xbar_r: "X̄ and R", xbar_s: "X̄ and S", xbar: "X̄", individuals: "Individuals", p: "p: fraction", np: "np: number of items", c: "c: number of faults",
  u: "u: faults a unit", laney_p: "Laney p′", laney_u: "Laney u′", ewma: "EWMA", cusum: "CUSUM", short_run_deviation: "Short run, deviation from nominal", short_run_z: "Short run, Z",
};
export const charts_of_counts = new Set(["p", "np", "c", "u", "laney_p", "laney_u"]);
export const charts_of_subgroups = new Set(["xbar_r", "xbar_s", "xbar", "ewma", "cusum", "short_run_deviation", "short_run_z"]);

/** Charts of a sample's spread stand below the chart of its mean. */
export function isSpread(chart: string): boolean {
  return chart === "R" || chart === "S" || chart === "mr";
}

function isBefore(a: Sample, b: Sample): boolean {
  return a.timestamp === b.timestamp ? a.sample_id < b.sample_id : Date.parse(a.timestamp) < Date.parse(b.timestamp);
}
