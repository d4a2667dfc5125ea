import { Alerts } from "./alerts.js";
import { ControlCharts, type Characteristic } from "./control.js";
import { WeirClient, type ConnectionState, type Delivery, type Position, type ServerError, type Subscription } from "weir-client";
import { keys_most, parseSelection, printSelection, type Selection } from "./address.js";
import { Api, ApiError } from "./api.js";
import { ZoneClock } from "./clock.js";
import type { FeedInfo, SeriesAnswer, StatusAnswer, StreamInfo, WindowDocument, WindowInfo } from "./contract.js";
import { capacityIn, defaultField, nameIn, numberAt, numericFields } from "./fields.js";
import { perFrame, Queue } from "./frame.js";
import { bounds, pointsFor, printRange, standardRange, type Range } from "./range.js";
import { Rate } from "./rate.js";
import { Series, type Reading } from "./series.js";
import { withWindow } from "./windows.js";

/** What was asked of the server: the newest answer stays while a newer one is awaited, or has failed. */
export interface Loaded<T> {
  value: T | null;
  error: string | null;
  loading: boolean;
}
const unasked = <T>(): Loaded<T> => ({ value: null, error: null, loading: true });

/** The newest of a key. Replaced, never changed, so that a view sees by identity whether it is the same. */
export interface KeyRow {
  key: string;
  data: Record<string, unknown>;
  time: number;
  name: string | null;
  value: number | null;
  capacity: number | null;
}

/** A selected key's history: the series drawn now, and whether another one is awaited. */
export interface Slot extends Loaded<Series> {
  /** What was asked for; another range or field makes another. */
  asked: string;
  /** Readings that arrive while history is on its way. */
  pending: Reading[];
}

export const spark_span = 3 * 3_600_000;
const spark_points = 90;
export const windows_most = 48;
const feeds_every = 5_000;
/** How soon it is looked again for the stream of definitions, where there is none. */
const definitions_every = 5_000;
const status_every = 10_000;
const token_name = "weir.token";

/**
 * All that the page knows, and how it comes to know it: history over HTTP, what follows over one WebSocket. Views read it and
 * call its methods; it calls `changed` at most once a frame.
 */
export class Dashboard {
  selection: Selection;
  connection: ConnectionState;
  status = unasked<StatusAnswer>();
  streams = unasked<StreamInfo[]>();
  feeds = unasked<FeedInfo[]>();
  windowInfos: WindowInfo[] = [];
  keys = unasked<Map<string, KeyRow>>();
  /** Grows when a key comes, goes or is renamed: then the list is sorted anew. */
  keys_version = 0;
  readonly slots = new Map<string, Slot>();
  readonly sparks = new Map<string, Series>();
  windows = unasked<WindowDocument[]>();
  /** Of the selected keys, the one whose windows are listed. */
  windowKey: string | null = null;
  clock = new ZoneClock("UTC");
  /** The server wants a token; true also after it has refused one. */
  token_wanted = false;
  /** When the connection was lost; null while there is one, or where there has never been one. */
  lost_at: number | null = null;
  /** Why the server does not send live data; null while it does. */
  live_refused: string | null = null;
  readonly messages = new Rate();
  readonly feedRates = new Map<string, Rate>();
  /** Head of the chosen stream as far as this page has seen it. */
  head: Position | null = null;
  /** Width of the chart in CSS pixels; the views set it. */
  chart_width = 900;

  readonly client: WeirClient;
  /** Control charts, where there are characteristics. */
  readonly control: ControlCharts;
  readonly alerts: Alerts;
  private readonly api: Api;
  private readonly charts = new Queue(4);
  private readonly sparkQueue = new Queue(3);
  private readonly sparksAsked = new Set<string>();
  private subscriptions: Subscription[] = [];
  private server_ahead = 0;
  /** Grows with each load of a stream: what was asked for an earlier one is dropped when it arrives. */
  private turn = 0;
  private feedsSoon = false;
  private opened = 0;
  private loaded_stream: string | null = null;
  /** When weir took the newest live event of the chosen stream. */
  private newest: number | null = null;
  readonly changed: () => void;

  constructor(base: URL, draw: () => void) {
    this.changed = perFrame(draw);
    this.api = new Api(base);
    this.api.token = sessionStorage.getItem(token_name);
    this.control = new ControlCharts(base, this.changed, this.api);
    this.alerts = new Alerts(this.changed, this.api, () => this.now());
    this.selection = parseSelection(location.hash);
    const url = new URL("stream", base);
    url.protocol = url.protocol.replace("http", "ws");
    this.client = new WeirClient(url.href, {
      token: this.api.token ?? undefined,
      backoff_most_ms: 15_000,
      onState: (state) => this.onState(state),
    });
    this.connection = this.client.state;
  }

  /** The server's time, which ages and the end of a live range are counted from. */
  now(): number {
    return Date.now() + this.server_ahead;
  }

  get range(): Range {
    return this.selection.range ?? standardRange;
  }

  get shownClock(): ZoneClock {
    return this.selection.utc ? utc : this.clock;
  }

  start(): void {
    addEventListener("hashchange", () => this.onAddress());
    addEventListener("online", () => this.client.retryNow());
    this.client.subscribe({ type: "system_status", onEvent: () => this.feedsChanged() });
    this.alerts.follow(this.client);
    setInterval(() => this.changed(), 1000);
    setInterval(() => void this.loadFeeds(), feeds_every);
    setInterval(() => void this.loadStatus(), status_every);
    setInterval(() => this.alerts.trouble && void this.alerts.load(), status_every);
    void this.loadAll();
    this.followDefinitions();
    void this.control.start();
  }

  // What a person does

  chooseStream(stream: string): void {
    this.select({ stream, field: null, keys: [], window: null });
    void this.loadStream();
  }

  chooseField(field: string): void {
    this.select({ field });
    this.forgetSeries();
    this.rereadKeys();
    this.loadSeries();
  }

  showOnly(key: string): void {
    this.selectKeys([key]);
  }

  /** One series of any stream; without a field its default one. */
  showSeries(stream: string, field: string | null, key: string): void {
    const here = stream === this.selection.stream && (field === null || field === this.selection.field);
    if (here) return this.showOnly(key);
    this.select({ stream, field, keys: [key], window: null });
    this.forgetSeries();
    void this.loadStream();
  }

  toggleKey(key: string): void {
    const { keys } = this.selection;
    if (!keys.includes(key)) this.selectKeys([...keys, key].slice(-keys_most));
    else if (keys.length > 1) this.selectKeys(keys.filter((k) => k !== key));
  }

  showKeys(keys: string[]): void {
    this.selectKeys(keys.slice(0, keys_most));
  }

  setRange(range: Range): void {
    this.select({ range });
    this.loadSeries();
  }

  chooseWindow(window: string): void {
    this.select({ window });
    void this.loadWindows();
  }

  chooseWindowKey(key: string): void {
    this.windowKey = key;
    void this.loadWindows();
  }

  toggleUtc(): void {
    this.select({ utc: !this.selection.utc });
  }

  toggleShare(): void {
    this.select({ share: !this.selection.share });
  }

  useToken(token: string): void {
    sessionStorage.setItem(token_name, token);
    this.api.token = token;
    this.token_wanted = false;
    this.client.authenticate(token);
    void this.loadAll();
  }

  reloadSeries(): void {
    for (const slot of this.slots.values()) slot.asked = "";
    this.loadSeries();
  }

  /** A row became visible: its small chart is worth loading. */
  wantSpark(key: string): void {
    if (this.sparksAsked.has(key)) return;
    this.sparksAsked.add(key);
    const turn = this.turn;
    this.sparkQueue.add(async () => {
      const now = this.now();
      const answer = await this.askSeries(key, now - spark_span, now, spark_points).catch(() => null);
      if (turn !== this.turn) return;
      if (!answer) {
        this.sparksAsked.delete(key);
        return;
      }
      const series = new Series(answer);
      const row = this.keys.value?.get(key);
      if (row && row.value !== null && row.time > (series.last()?.time ?? 0))
        series.add({ epoch: "", seq: Infinity, time: row.time, value: row.value });
      this.sparks.set(key, series);
      this.changed();
    });
  }

  /** Windows of the chosen stream, finest first. */
  streamWindows(): WindowInfo[] {
    return this.windowInfos
      .filter((window) => window.stream === this.selection.stream)
      .sort((a, b) => a.size_ms - b.size_ms || a.name.localeCompare(b.name));
  }

  shownWindow(): WindowInfo | null {
    const all = this.streamWindows();
    return all.find((window) => window.name === this.selection.window) ?? all[0] ?? null;
  }

  fields(): string[] {
    return numericFields([...(this.keys.value?.values() ?? [])].slice(0, 50).map((row) => row.data));
  }

  /** Feeds that write the chosen stream. */
  streamFeeds(): FeedInfo[] {
    return (this.feeds.value ?? []).filter((feed) => feed.stream === this.selection.stream);
  }

  /** When a feed last read something: live events tell it sooner than the feeds are asked. */
  lastReading(feed: FeedInfo): number | null {
    const told = feed.last_reading ? Date.parse(feed.last_reading) : null;
    return feed.stream === this.selection.stream && this.newest !== null ? Math.max(this.newest, told ?? 0) : told;
  }

  // How it comes to know

  /** What is defined while the page is open is told by the stream of definitions, which is not there before the first one. */
  private followDefinitions(): void {
    const followed = this.client.subscribe({
      type: "events",
      stream: "spc.characteristics",
      onSubscribed: () => void this.control.reload(),
      onEvent: ({ body }) => body["event_type"] === "characteristic" && this.control.learn(body["payload"] as Characteristic),
      onError: () => {
        followed.end();
        setTimeout(() => this.followDefinitions(), definitions_every);
      },
    });
  }

  private async loadAll(): Promise<void> {
    void this.alerts.load();
    await Promise.all([this.loadStatus(), this.loadFeeds(), this.loadWindowInfos()]);
    if (!this.token_wanted && this.streams.value) await this.loadStream();
    if (!this.token_wanted) this.client.connect();
  }

  private async loadStatus(): Promise<void> {
    await Promise.all([this.load(this.status, () => this.api.status()), this.load(this.streams, () => this.api.streams())]);
    const status = this.status.value;
    if (status && !this.status.error) {
      const ahead = Date.parse(status.now) - Date.now();
      // Small differences are the time of travel, not of clocks.
      if (Math.abs(ahead) > 2_000) this.server_ahead = ahead;
      if (status.clock_zone && status.clock_zone !== (this.clock.unknown_zone ?? this.clock.zone))
        this.clock = new ZoneClock(status.clock_zone);
    }
    // The first event may come after the page: then there is a stream to choose only now.
    if (!this.selection.stream && this.defaultStream() && this.connection.phase === "open") void this.loadStream();
    this.changed();
  }

  private async loadFeeds(): Promise<void> {
    await this.load(this.feeds, () => this.api.feeds());
    for (const feed of this.feeds.error ? [] : (this.feeds.value ?? [])) {
      let rate = this.feedRates.get(feed.name);
      if (!rate) this.feedRates.set(feed.name, (rate = new Rate(30_000)));
      rate.set(Date.now(), feed.readings);
    }
    this.changed();
  }

  private async loadWindowInfos(): Promise<void> {
    const infos = await this.api.windows().catch(() => null);
    if (infos) this.windowInfos = infos;
  }

  private defaultStream(): string | null {
    const streams = (this.streams.value ?? []).filter((stream) => !stream.name.startsWith("_"));
    const all = streams.filter((stream) => stream.type === "data" || stream.type === "events");
    // Of control charts the samples are a series that is worth a look; commands and answers are none.
    const own = all.filter((stream) => !stream.name.startsWith("spc.") && !stream.name.startsWith("alert."));
    const data = own.length > 0 ? own : all.filter((stream) => stream.name === "spc.samples");
    return (data.find((stream) => stream.count > 0) ?? data[0])?.name ?? null;
  }

  /** Keys, live events and series of the chosen stream, or of the first one that has data. Also after a gap or a new epoch. */
  private async loadStream(): Promise<void> {
    const stream = this.selection.stream ?? this.defaultStream();
    const turn = ++this.turn;
    const another = stream !== this.loaded_stream;
    this.loaded_stream = stream;
    this.sparkQueue.clear();
    this.sparksAsked.clear();
    if (another) {
      this.keys = unasked();
      this.windows = unasked();
      this.newest = null;
      this.forgetSeries();
    }
    if (!stream) {
      this.keys = { value: new Map(), error: null, loading: false };
      this.changed();
      return;
    }
    this.keys.loading = true;
    this.changed();
    try {
      const list = await this.api.keys(stream);
      if (turn !== this.turn) return;
      const info = this.streams.value?.find((s) => s.name === stream);
      const epoch = list.epoch ?? info?.epoch;
      const seq = list.head_seq ?? info?.head_seq;
      this.head = epoch !== undefined && seq !== undefined ? { epoch, seq } : null;
      const field = this.selection.field ?? (await this.chooseDefaultField(stream, list.keys.map((k) => k.last ?? {})));
      if (turn !== this.turn) return;
      this.selection = { ...this.selection, stream, field };
      this.keys_version += 1;
      const rows = list.keys.map((k) => rowOf(k.key, k.last ?? {}, Date.parse(k.last_time), field));
      this.keys = { value: new Map(rows.map((row) => [row.key, row])), error: null, loading: false };
      if (this.selection.keys.length === 0 && rows.length) {
        const most = rows.reduce((best, row) => ((row.value ?? -Infinity) > (best.value ?? -Infinity) ? row : best));
        this.selection = { ...this.selection, keys: [most.key] };
      }
      this.writeAddress();
      this.subscribe(stream);
      this.reloadSeries();
      void this.loadWindows();
    } catch (error) {
      if (turn !== this.turn) return;
      this.keys = { ...this.keys, loading: false, error: this.tell(error) };
    }
    this.changed();
  }

  private async chooseDefaultField(stream: string, data: Record<string, unknown>[]): Promise<string | null> {
    const windows = this.windowInfos.filter((window) => window.stream === stream);
    const named = windows.map((window) => window.field).filter((field): field is string => !!field);
    if (named.length === 0 && windows[0]) {
      const [newest] = await this.api.windowResults(windows[0].name, "", 1).catch(() => []);
      if (newest?.field) named.push(newest.field);
    }
    return defaultField(data, named);
  }

  private subscribe(stream: string): void {
    for (const subscription of this.subscriptions) subscription.end();
    this.live_refused = null;
    const onError = (error: ServerError) => {
      this.live_refused = error.detail ? `${error.message}: ${error.detail}` : error.message;
      this.changed();
    };
    const again = () => void this.loadStream();
    const outputs = [...new Set(this.streamWindows().map((window) => window.output))];
    const heads = (this.streams.value ?? []).filter((s) => outputs.includes(s.name));
    const outputsSince = Object.fromEntries(heads.map((s) => [s.name, { epoch: s.epoch, seq: s.head_seq }]));
    this.subscriptions = [
      this.client.subscribe({
        type: "events",
        stream,
        ...(this.head ? { since: { [stream]: this.head } } : {}),
        onEvent: (delivery) => this.onReading(delivery),
        onGap: again,
        onError,
      }),
    ];
    if (outputs.length)
      this.subscriptions.push(
        this.client.subscribe({
          type: "aggregations",
          stream: outputs,
          ...(heads.length ? { since: outputsSince } : {}),
          onEvent: (delivery) => this.onWindow(delivery),
          onGap: () => void this.loadWindows(),
          onError,
        }),
      );
  }

  private onReading(delivery: Delivery): void {
    this.messages.add(Date.now());
    const { stream, field } = this.selection;
    if (delivery.stream !== stream) return;
    // The first event of an empty stream: only now can a field be chosen.
    if (field === null && !this.keys.loading) void this.loadStream();
    this.head = delivery.position;
    this.newest = Math.max(this.newest ?? 0, Date.parse(delivery.timestamp) || 0);
    const data = (delivery.body.payload ?? delivery.body.data ?? {}) as Record<string, unknown>;
    const time = Date.parse(String(delivery.body.timestamp ?? delivery.body.time ?? delivery.timestamp));
    const row = rowOf(delivery.key, data, time, field);
    const known = this.keys.value?.get(delivery.key);
    if (!known || known.name !== row.name) this.keys_version += 1;
    if (!known || known.time <= time) this.keys.value?.set(delivery.key, row);
    if (row.value !== null) {
      const reading: Reading = { ...delivery.position, time, value: row.value };
      this.sparks.get(delivery.key)?.add(reading);
      const slot = this.slots.get(delivery.key);
      if (slot?.loading) slot.pending.push(reading);
      if (slot?.value) this.addLive(delivery.key, slot, reading);
    }
    this.changed();
  }

  private addLive(key: string, slot: Slot, reading: Reading): void {
    slot.value!.add(reading);
    if (this.range.kind !== "live") return;
    slot.value!.trim(this.now() - this.range.span * 1.1);
    // Readings that would soon be too many to draw are asked for again, rolled up.
    if (slot.value!.times.length > 40_000 && !slot.loading) {
      slot.asked = "";
      this.loadSeries();
      console.info(`series of ${key} is asked for again: too many readings for this range`);
    }
  }

  private onWindow(delivery: Delivery): void {
    this.messages.add(Date.now());
    const body = delivery.body as Record<string, any>;
    const document = (body.window ? body : (body.payload ?? body.data)) as WindowDocument | undefined;
    if (!document?.window || document.stream !== this.selection.stream) return;
    if (document.field === this.selection.field) {
      this.slots.get(document.key)?.value?.close(document);
      this.sparks.get(document.key)?.close(document);
    }
    if (document.window.name === this.shownWindow()?.name && document.key === this.windowsOf() && this.windows.value)
      this.windows = { ...this.windows, value: withWindow(this.windows.value, document, windows_most) };
    this.changed();
  }

  /** Feeds told of themselves; many may at once. */
  private feedsChanged(): void {
    this.messages.add(Date.now());
    if (this.feedsSoon) return;
    this.feedsSoon = true;
    setTimeout(() => {
      this.feedsSoon = false;
      void this.loadFeeds();
    }, 250);
  }

  /** Asks for what the selection shows and is not there yet, and forgets what it shows no more. */
  private loadSeries(): void {
    const { stream, field, keys } = this.selection;
    for (const key of this.slots.keys()) if (!keys.includes(key)) this.slots.delete(key);
    if (!stream || !field) return;
    for (const key of keys) {
      const asked = `${stream} ${field} ${printRange(this.range)} ${keys.length > 2}`;
      const slot = this.slots.get(key) ?? { ...unasked<Series>(), asked: "", pending: [] };
      this.slots.set(key, slot);
      if (slot.asked === asked) continue;
      Object.assign(slot, { asked, loading: true, error: null, pending: [] });
      this.charts.add(() => this.loadSlot(key, slot, asked));
    }
    this.changed();
  }

  private async loadSlot(key: string, slot: Slot, asked: string): Promise<void> {
    const current = () => this.slots.get(key) === slot && slot.asked === asked;
    if (!current()) return;
    try {
      const { from, to } = bounds(this.range, this.now());
      const points = pointsFor(this.chart_width, this.selection.keys.length);
      const answer = await this.askSeries(key, from, to, points);
      // The open window's readings: history ends with the last closed one.
      const open = Series.openSince(answer);
      const tail = open !== null && open < to ? await this.askSeries(key, open, to, 10_000).catch(() => undefined) : undefined;
      if (!current()) return;
      const series = new Series(answer, tail);
      for (const reading of slot.pending) series.add(reading);
      Object.assign(slot, { value: series, loading: false, pending: [] });
    } catch (error) {
      if (current()) Object.assign(slot, { loading: false, error: this.tell(error), pending: [] });
    }
    this.changed();
  }

  private askSeries(key: string, from: number, to: number, points: number): Promise<SeriesAnswer> {
    const { stream, field } = this.selection;
    return this.api.series({ stream: stream ?? "", key, field: field ?? "", from, to, points });
  }

  /** The key whose windows are listed. */
  windowsOf(): string | null {
    const { keys } = this.selection;
    return this.windowKey !== null && keys.includes(this.windowKey) ? this.windowKey : (keys[0] ?? null);
  }

  private async loadWindows(): Promise<void> {
    const window = this.shownWindow();
    const key = this.windowsOf();
    if (!window || key === null) {
      this.windows = { value: [], error: null, loading: false };
      this.changed();
      return;
    }
    const loaded = unasked<WindowDocument[]>();
    this.windows = loaded;
    this.changed();
    await this.load(loaded, async () => {
      const results = await this.api.windowResults(window.name, window.per_key ? key : "", windows_most);
      return results.reduce((all, document) => withWindow(all, document, windows_most), [] as WindowDocument[]);
    });
    this.changed();
  }

  private async load<T>(loaded: Loaded<T>, ask: () => Promise<T>): Promise<void> {
    try {
      loaded.value = await ask();
      loaded.error = null;
    } catch (error) {
      loaded.error = this.tell(error);
    }
    loaded.loading = false;
  }

  private tell(error: unknown): string {
    if (error instanceof ApiError && error.status === 401) this.token_wanted = true;
    return error instanceof Error ? error.message : String(error);
  }

  private onState(state: ConnectionState): void {
    const before = this.connection.phase;
    this.connection = state;
    if (before === "open") {
      this.lost_at = this.now();
      this.alerts.away();
    }
    if (state.phase === "open") this.lost_at = null;
    if (state.phase === "refused") this.token_wanted = true;
    // Back again: the subscriptions go on where they were; what is only polled, or has failed, is asked for now.
    if (state.phase === "open" && before !== "open" && (this.opened++ > 0 || this.failed())) void this.comeBack();
    this.changed();
  }

  private async comeBack(): Promise<void> {
    await Promise.all([this.loadStatus(), this.loadFeeds(), this.loadWindowInfos()]);
    const info = this.streams.value?.find((stream) => stream.name === this.selection.stream);
    const another_log = info && this.head && info.epoch !== this.head.epoch;
    if (another_log) void this.alerts.load();
    if (another_log || this.failed()) await this.loadStream();
  }

  private failed(): boolean {
    const failed = this.status.error || this.keys.error || this.windows.error || !this.keys.value;
    return !!failed || [...this.slots.values()].some((slot) => slot.error);
  }

  // The selection and the address

  private selectKeys(keys: string[]): void {
    const before = this.windowsOf();
    this.select({ keys });
    this.loadSeries();
    if (this.windowsOf() !== before) void this.loadWindows();
  }

  private select(part: Partial<Selection>): void {
    this.selection = { ...this.selection, ...part };
    this.writeAddress();
    this.changed();
  }

  private writeAddress(): void {
    const hash = printSelection(this.selection);
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  /** Someone edited the address or followed a link within the page. */
  private onAddress(): void {
    this.selection = parseSelection(location.hash);
    void this.loadStream();
  }

  private forgetSeries(): void {
    this.slots.clear();
    this.sparks.clear();
    this.sparksAsked.clear();
  }

  private rereadKeys(): void {
    const { field } = this.selection;
    for (const row of this.keys.value?.values() ?? [])
      this.keys.value!.set(row.key, rowOf(row.key, row.data, row.time, field));
  }
}

const utc = new ZoneClock("UTC");

function rowOf(key: string, data: Record<string, unknown>, time: number, field: string | null): KeyRow {
  return {
    key,
    data,
    time,
    name: nameIn(data),
    value: field === null ? null : numberAt(data, field),
    capacity: field === null ? null : capacityIn(data, field),
  };
}
