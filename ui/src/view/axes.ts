/** The axes and tips that all charts of the page have in common. */
import type uPlot from "uplot";
import { palette } from "../palette.js";

/** An axis in the page's colours and letters. */
export function axis(frame: HTMLElement, own: uPlot.Axis): uPlot.Axis {
  const colours = palette();
  return { stroke: colours.text, font: `12px ${getComputedStyle(frame).fontFamily}`, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false }, ...own };
}

/** The axis of values: as wide as its longest number. */
export function valueAxis(frame: HTMLElement, text: (value: number, ticks: number[]) => string = tickNumber): uPlot.Axis {
  return axis(frame, {
    gap: 6,
    size: (_plot, values) => 16 + 7.2 * Math.max(2, ...(values ?? []).map((value) => value.length)),
    values: (_plot, ticks) => ticks.map((value) => text(value, ticks)),
  });
}

/** All ticks with as many digits behind the point as their step needs. */
export function tickNumber(value: number, ticks: number[]): string {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : 1;
  // 0.25 needs one digit more than 0.2.
  const digits = [0, 1, 2, 3, 4, 5, 6, 7, 8].find((d) => Math.abs(step - Number(step.toFixed(d))) < step * 1e-6) ?? 8;
  return value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A part of a tip. */
export function text(tag: string, name: string, content: string): HTMLElement {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = content;
  return element;
}
