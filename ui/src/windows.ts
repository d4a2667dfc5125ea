import type { WindowDocument } from "./contract.js";
import { causeText } from "./causes.js";
import { count, span } from "./format.js";

/** Closed windows of one key, newest first, each in its newest revision, at most `most`. */
export function withWindow(all: WindowDocument[], next: WindowDocument, most: number): WindowDocument[] {
  const same = all.findIndex((w) => w.key === next.key && w.window.start === next.window.start);
  if (same >= 0) return next.revision >= all[same]!.revision ? all.map((w, i) => (i === same ? next : w)) : all;
  const at = all.findIndex((w) => w.window.start < next.window.start);
  const list = at < 0 ? [...all, next] : [...all.slice(0, at), next, ...all.slice(at)];
  return list.slice(0, most);
}

/** How well a window is covered: the class that colours it. */
export function coverageClass(document: WindowDocument): "complete" | "partial" | "missing" {
  if (document.coverage.received === 0) return "missing";
  return document.coverage.complete ? "complete" : "partial";
}

/** `60 of 60`, or `57` where nothing says how many there should be. */
export function received(document: WindowDocument): string {
  const { received, expected } = document.coverage;
  return expected === null ? count(received) : `${count(received)} of ${count(expected)}`;
}

/** All that a reader of the number should know: gaps with their cause, cuts, late and rejected readings, revisions. */
export function notes(document: WindowDocument): string[] {
  const { coverage, window, revision } = document;
  const found: string[] = [];
  if (coverage.reason) found.push(causeText(coverage.reason));
  for (const [cause, ms] of gapsByCause(document)) found.push(`${span(ms)} gap: ${causeText(cause)}`);
  if (window.cut) found.push(`cut by ${window.cut === "outage" ? "an outage" : `the ${window.cut}`}`);
  if (coverage.late) found.push(`${count(coverage.late)} late`);
  if (coverage.rejected) found.push(`${count(coverage.rejected)} rejected`);
  if (coverage.duplicates) found.push(`${count(coverage.duplicates)} repeated`);
  if (revision) found.push(`revision ${revision}`);
  return found;
}

export function trendArrow(direction: string | null | undefined): { arrow: string; text: string } {
  if (direction === "rising") return { arrow: "↗", text: "rising" };
  if (direction === "falling") return { arrow: "↘", text: "falling" };
  if (direction === "steady") return { arrow: "→", text: "steady" };
  return { arrow: "", text: "no trend" };
}

function gapsByCause(document: WindowDocument): Map<string, number> {
  const spans = new Map<string, number>();
  for (const gap of document.coverage.gaps)
    spans.set(gap.cause, (spans.get(gap.cause) ?? 0) + Date.parse(gap.to) - Date.parse(gap.from));
  return spans;
}
