import type {
  AlertList,
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
    readonly detail: string | null = null,
  ) {
    super(message);
  }
}

/** Why something was refused, in the words that tell most. */
export function refusal(error: unknown): string {
  if (error instanceof ApiError) return error.detail || error.message;
  return error instanceof Error ? error.message : String(error);
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

  alerts(query: { state: "open" | "all"; limit: string }): Promise<AlertList> {
    return this.get("alerts", query);
  }

  get<T>(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
    const url = new URL(`api/v1/${path}`, this.base);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return this.ask(url, { signal: signal ?? null, cache: "no-store" });
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.ask(new URL(`api/v1/${path}`, this.base), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  private async ask<T>(url: URL, request: RequestInit): Promise<T> {
    const headers = { ...request.headers, ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}) };
    let answer: Response;
    try {
      answer = await fetch(url, { ...request, headers });
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw new ApiError(0, "unreachable", "weir does not answer");
    }
    const body: any = await answer.json().catch(() => null);
    if (answer.ok && body !== null) return body as T;
    const told = typeof body?.error === "string" ? { ...body, message: body.error } : body?.error;
    throw new ApiError(answer.status, told?.code ?? "error", told?.message ?? `weir answered ${answer.status}`, told?.detail ?? null);
  }
}
