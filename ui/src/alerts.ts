/**
 * Alerts: what the page knows of them, and how it comes to know it. The newest of each comes over HTTP; then the subscription `alerts` brings each change,
 * an event of which holds the whole alert as it is. Nothing is polled while the socket is open.
 */
import type { WeirClient } from "weir-client";
import type { Said } from "./acknowledgement.js";
import { ApiError, refusal, type Api } from "./api.js";
import type { Alert } from "./contract.js";
import { number } from "./format.js";

/** As many are kept; resolved ones go first, the oldest before the others. */
export const alerts_kept = 200;
/** As many are drawn: who has more of them open than this does not read a list. */
export const alerts_drawn = 50;

/** How long one can be shelved, as the request says it and as people do. */
export const shelf_times = [
  ["15min", "15 minutes"],
  ["1h", "1 hour"],
  ["8h", "8 hours"],
  ["1d", "1 day"],
] as const;

/** What a person is about to do to an alert. */
export type Deed = "acknowledge" | "shelve" | "unshelve";

const states = ["pending", "firing", "resolved", "inactive"];
const severities = ["info", "warning", "critical", "fatal"];

export class Alerts {
  readonly known = new Map<string, Alert>();
  /** What an acknowledgement may give as a reason, by code. */
  reasons: Record<string, string> = {};
  /** The alert whose form is open, and which form. */
  picked: { id: string; deed: Deed } | null = null;
  /** Why weir did not do what was asked, by alert: it is said beside it. */
  readonly refused = new Map<string, string>();
  /** The alert about which weir is being asked. */
  asking: string | null = null;
  /** Why the list may be old; empty while it is not. */
  trouble = "";
  /** Each change is told as it happens. */
  live = false;
  /** There are open ones that are not among these. */
  more_open = false;

  /** Both lists in their order, until something changes. */
  private sorted: { open: Alert[]; resolved: Alert[] } | null = null;
  private turn = 0;
  /** Requests without an answer yet, and when each alert that came live meanwhile came: what comes live is never replaced by an answer that was asked for before. */
  private waiting = 0;
  private arrivals = 0;
  private readonly arrived = new Map<string, number>();

  constructor(
    private readonly changed: () => void,
    private readonly api: Pick<Api, "alerts" | "post">,
    private readonly now: () => number,
  ) {}

  /** Subscribes, for as long as the page is there. */
  follow(client: Pick<WeirClient, "subscribe">): void {
    client.subscribe({
      type: "alerts",
      // Also after a reconnection: the stream begins with the first alert, which may have been while nobody listened.
      onSubscribed: () => {
        this.live = true;
        void this.load();
      },
      onEvent: ({ body }) => this.take(body),
      onGap: () => void this.load(),
      onEnded: () => this.away(),
      onError: () => this.away(),
    });
  }

  /** Nothing comes live for now. */
  away(): void {
    this.live = false;
    this.changed();
  }

  /** Firing before pending, by severity, then the newest. */
  get open(): Alert[] {
    return this.lists().open;
  }

  /** The last resolved first. */
  get resolved(): Alert[] {
    return this.lists().resolved;
  }

  /** What wants somebody: firing, and neither acknowledged nor shelved. */
  get calling(): Alert[] {
    return this.open.filter((alert) => alert.state === "firing" && !alert.acknowledged && !this.isShelved(alert));
  }

  /** Of a series, those that have fired: what its chart can mark. The newest last. */
  firedAt(stream: string | null, key: string, field: string | null): Alert[] {
    const here = (alert: Alert) => alert.stream === stream && alert.key === key && alert.triggered_at !== null && (!alert.metric || alert.metric === field);
    return [...this.known.values()].filter(here).sort((a, b) => instant(a.triggered_at) - instant(b.triggered_at));
  }

  isShelved(alert: Alert): boolean {
    return alert.shelved_until !== null && instant(alert.shelved_until) > this.now();
  }

  /** Opens a form, or closes the one that is open. */
  pick(id: string | null, deed: Deed = "acknowledge"): void {
    this.picked = id === null || (this.picked?.id === id && this.picked.deed === deed) ? null : { id, deed };
    this.refused.clear();
    this.changed();
  }

  acknowledge(id: string, said: Said): Promise<boolean> {
    return this.act(id, "acknowledge", said);
  }
  shelve(id: string, duration: string, said: Said): Promise<boolean> {
    return this.act(id, "shelve", { for: duration, ...said });
  }
  unshelve(id: string, user: string): Promise<boolean> {
    return this.act(id, "unshelve", { user });
  }

  /** All that weir tells, anew: at the beginning, after a gap, of another log. */
  async load(): Promise<void> {
    const turn = ++this.turn;
    try {
      await this.asked(async (isOlder) => {
        const limit = String(alerts_kept);
        const all = await this.api.alerts({ state: "all", limit });
        // Among so many newest ones an open one that is older may be missing.
        const open = all.complete && all.alerts.length < alerts_kept ? null : await this.api.alerts({ state: "open", limit });
        if (turn !== this.turn) return;
        const listed = [...all.alerts, ...(open?.alerts ?? [])].map(alertOf).filter((alert): alert is Alert => alert !== null);
        const told = new Map(listed.map((alert) => [alert.id, alert]));
        this.reasons = all.reason_codes ?? {};
        for (const id of this.known.keys()) if (!told.has(id) && isOlder(id)) this.drop(id);
        for (const alert of told.values()) if (isOlder(alert.id)) this.put(alert);
        this.more_open = open !== null && !open.complete;
        this.trim();
        this.trouble = "";
      });
    } catch (error) {
      // A weir without alerts, or one that does not show them to this reader, has none to tell of.
      const none = error instanceof ApiError && (error.status === 404 || error.status === 403);
      if (turn === this.turn) this.trouble = none ? "" : refusal(error);
    }
    this.changed();
  }

  take(body: Record<string, unknown>): void {
    const alert = alertOf(body);
    if (!alert) return;
    this.arrivals += 1;
    if (this.waiting > 0) this.arrived.set(alert.id, this.arrivals);
    this.put(alert);
    this.trim();
    this.changed();
  }

  private async act(id: string, deed: Deed, body: object): Promise<boolean> {
    this.refused.delete(id);
    this.asking = id;
    this.changed();
    let done = false;
    try {
      await this.asked(async (isOlder) => {
        const alert = alertOf(await this.api.post<unknown>(`alerts/${encodeURIComponent(id)}/${deed}`, body));
        if (alert && isOlder(id)) this.put(alert);
      });
      done = true;
      if (this.picked?.id === id) this.picked = null;
    } catch (error) {
      this.refused.set(id, refusal(error));
      // Somebody was faster: what they did stands beside the refusal.
      if (error instanceof ApiError && error.status === 409) void this.load();
    }
    this.asking = null;
    this.changed();
    return done;
  }

  /** Does `ask`, which is told of each alert whether what it has asked for is not older than what came live since. */
  private async asked(ask: (isOlder: (id: string) => boolean) => Promise<void>): Promise<void> {
    const before = this.arrivals;
    this.waiting += 1;
    try {
      await ask((id) => (this.arrived.get(id) ?? 0) <= before);
    } finally {
      this.waiting -= 1;
      if (this.waiting === 0) this.arrived.clear();
    }
  }

  private lists(): { open: Alert[]; resolved: Alert[] } {
    if (this.sorted) return this.sorted;
    const all = [...this.known.values()];
    const open = all.filter(isOpen).sort(byUrgency);
    const resolved = all.filter((alert) => !isOpen(alert)).sort((a, b) => instant(b.resolved_at) - instant(a.resolved_at));
    return (this.sorted = { open, resolved });
  }

  private drop(id: string): void {
    this.known.delete(id);
    this.sorted = null;
  }

  private put(alert: Alert): void {
    this.sorted = null;
    if (alert.state === "inactive") this.known.delete(alert.id);
    else this.known.set(alert.id, alert);
  }

  private trim(): void {
    if (this.known.size <= alerts_kept) return;
    for (const alert of [...this.open, ...this.resolved].slice(alerts_kept)) {
      this.drop(alert.id);
      if (isOpen(alert)) this.more_open = true;
    }
  }
}

/** What stands in an event or an answer, with everything that a view reads; null where it is no alert: violations of control charts come by the subscription too. */
export function alertOf(told: unknown): Alert | null {
  const given = (typeof told === "object" && told !== null ? told : {}) as Record<string, unknown>;
  const text = (name: string) => (typeof given[name] === "string" ? (given[name] as string) : "");
  const number = (name: string) => (typeof given[name] === "number" ? (given[name] as number) : null);
  const time = (name: string) => (Number.isFinite(Date.parse(text(name))) ? text(name) : null);
  if (text("id") === "" || !states.includes(text("state"))) return null;
  return {
    id: text("id"), rule: text("rule"), name: text("name"), title: text("title") || text("name") || text("message") || text("id"), severity: text("severity") as Alert["severity"],
    state: text("state") as Alert["state"], change: text("change"), stream: text("stream"), key: text("key"), metric: text("metric"), kind: text("kind") as Alert["kind"],
    condition: (text("condition") || null) as Alert["condition"], threshold: number("threshold"), value: number("value"), message: text("message"),
    pending_at: time("pending_at"), triggered_at: time("triggered_at"), resolved_at: time("resolved_at"), duration_seconds: number("duration_seconds") ?? 0,
    acknowledged: given["acknowledged"] === true, ack_user: text("ack_user") || null, ack_on_behalf_of: text("ack_on_behalf_of") || null, ack_reason: text("ack_reason") || null,
    ack_reason_code: text("ack_reason_code") || null, acknowledged_at: time("acknowledged_at"), shelved_until: time("shelved_until"), shelved_by: text("shelved_by") || null,
    shelf_reason: text("shelf_reason") || null,
  };
}

export function isOpen(alert: Alert): boolean {
  return alert.state === "firing" || alert.state === "pending";
}

function byUrgency(a: Alert, b: Alert): number {
  if (a.state !== b.state) return a.state === "firing" ? -1 : 1;
  const severity = severities.indexOf(b.severity) - severities.indexOf(a.severity);
  return severity || since(b) - since(a) || (a.id < b.id ? -1 : 1);
}

/** When it fired, or began to be looked at; 0: nobody has said. */
export function since(alert: Alert): number {
  return instant(alert.triggered_at ?? alert.pending_at);
}

/** How long it fires, or has fired; how long it is pending. */
export function lasting(alert: Alert, now: number): number {
  return isOpen(alert) ? (since(alert) ? Math.max(0, now - since(alert)) : 0) : alert.duration_seconds * 1000;
}

const stands: Record<string, string> = { above: "above", below: "below", equals: "equal to", not_equals: "not equal to" };

const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

/** The limit as words: `above 100`; empty where there is none. */
export function limitText(alert: Alert): string {
  return alert.condition && alert.threshold !== null ? `${stands[alert.condition] ?? alert.condition} ${number(alert.threshold)}` : "";
}

/** The value with its limit. The text tells of when the condition held last; the value may have moved on. Instants in it are said by `timeText`. */
export function valueText(alert: Alert, timeText: (time: string) => string = (time) => time): string {
  const limit = limitText(alert);
  const text = alert.message ? alert.message.replace(times, timeText) : [alert.value === null ? "" : number(alert.value), limit].filter(Boolean).join(", ");
  if (alert.value === null || alert.kind !== "threshold" || text.startsWith(String(alert.value)) || text.startsWith(number(alert.value))) return text;
  return `${text}; ${isOpen(alert) ? "now" : "then"} ${number(alert.value)}`;
}

function instant(time: string | null): number {
  return time === null ? 0 : Date.parse(time);
}
