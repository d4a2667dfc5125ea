import type { Position, PositionMap, Since } from "./messages.js";

/**
 * Up to where a subscription has delivered, per stream. It decides what is new, and it is what a resumed subscription sends as
 * `since`: the two together make that nothing is missing and nothing comes twice.
 */
export class Positions {
  private readonly reached = new Map<string, Position>();

  constructor(since?: Since) {
    if (isPositionMap(since)) for (const [stream, position] of Object.entries(since)) this.reached.set(stream, position);
  }

  /** `repeated`: was delivered before. `other_epoch`: a new log began, so what lies between is unknown. */
  take(stream: string, position: Position): "new" | "repeated" | "other_epoch" {
    const last = this.reached.get(stream);
    if (last && last.epoch === position.epoch && position.seq <= last.seq) return "repeated";
    this.reached.set(stream, position);
    return last && last.epoch !== position.epoch ? "other_epoch" : "new";
  }

  /** What was lost up to here will not come any more; null: nobody knows up to where, so whatever comes next is new. */
  skipTo(stream: string, position: Position | null): void {
    if (position) this.reached.set(stream, position);
    else this.reached.delete(stream);
  }

  /** Where a subscription that asked for no history begins. */
  beginAt(heads: PositionMap): void {
    for (const [stream, head] of Object.entries(heads)) if (!this.reached.has(stream)) this.reached.set(stream, head);
  }

  /** Null while no stream has a position: then a resumed subscription begins where its first one did. */
  since(): PositionMap | null {
    return this.reached.size ? Object.fromEntries(this.reached) : null;
  }
}

function isPositionMap(since: Since | undefined): since is PositionMap {
  return typeof since === "object" && since !== null && typeof (since as { last?: unknown }).last !== "number";
}
