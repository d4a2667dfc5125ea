import type {
  FeedInfo,
  KeyList,
  SeriesAnswer,
  StatusAnswer,
  StreamInfo,
  WindowDocument,
  WindowInfo,
} from "./contract.js";

/** An answer that is no 2xx, or none at all (`status` 0). The message is fit to be shown. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** weir's HTTP interface. Paths are relative to the page, so that it works behind a reverse proxy's prefix. */
export class Api {
  token: string | null = null;

  constructor(private readonly base: URL) {}

  status(): Promise<StatusAnswer> {
    return this.get("status");
  }
  async streams(): Promise<StreamInfo[]> {
    return (await this.get<{ streams: StreamInfo[] }>("streams")).streams;
  }
  async feeds(): Promise<FeedInfo[]> {
    return (await this.get<{ feeds: FeedInfo[] }>("feeds")).feeds;
  }
  async windows(): Promise<WindowInfo[]> {
    return (await this.get<{ windows: WindowInfo[] }>("windows")).windows;
  }
  keys(stream: string): Promise<KeyList> {
    return this.get("keys", { stream });
  }
  series(of: { stream: string; key: string; field: string; from: number; to: number; points: number }, signal?: AbortSignal) {
    const { from, to, points, ...rest } = of;
    const query = { ...rest, from: new Date(from).toISOString(), to: new Date(to).toISOString(), points: String(points) };
    return this.get<SeriesAnswer>("series", query, signal);
  }
  async windowResults(name: string, key: string, limit: number): Promise<WindowDocument[]> {
    const query = { ...(key ? { key } : {}), limit: String(limit) };
    return (await this.get<{ results: WindowDocument[] }>(`windows/${encodeURIComponent(name)}`, query)).results;
  }

  private async get<T>(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
    const url = new URL(`api/v1/${path}`, this.base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const headers: Record<string, string> = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    let answer: Response;
    try {
      answer = await fetch(url, { headers, signal: signal ?? null, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "unreachable", "weir does not answer");
    }
    const body: any = await answer.json().catch(() => null);
    if (answer.ok && body !== null) return body as T;
    const told = body?.error;
    throw new ApiError(answer.status, told?.code ?? "error", told?.message ?? `weir answered ${answer.status}`);
  }
}
