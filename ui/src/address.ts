import { parseRange, printRange, type Range } from "./range.js";

/** What the page shows, as it stands in the address: a reload, a bookmark or a sent link shows the same. */
export interface Selection {
  /** Null: the default, chosen when the server has told what there is. */
  stream: string | null;
  field: string | null;
  keys: string[];
  range: Range | null;
  window: string | null;
  utc: boolean;
  /** Values as parts of each key's capacity, so that large and small ones can be compared. */
  share: boolean;
}

export function printSelection(selection: Selection): string {
  const parts = new URLSearchParams();
  if (selection.stream) parts.set("stream", selection.stream);
  if (selection.field) parts.set("field", selection.field);
  for (const key of selection.keys) parts.append("key", key);
  if (selection.range) parts.set("range", printRange(selection.range));
  if (selection.window) parts.set("window", selection.window);
  if (selection.utc) parts.set("clock", "utc");
  if (selection.share) parts.set("scale", "share");
  return `#${parts.toString().replaceAll("%2F", "/").replaceAll("%3A", ":")}`;
}

export function parseSelection(hash: string): Selection {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  return {
    stream: parts.get("stream"),
    field: parts.get("field"),
    keys: [...new Set(parts.getAll("key"))].slice(0, keys_most),
    range: parseRange(parts.get("range") ?? ""),
    window: parts.get("window"),
    utc: parts.get("clock") === "utc",
    share: parts.get("scale") === "share",
  };
}

/** As many series the chart draws at once. */
export const keys_most = 32;
