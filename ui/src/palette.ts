import { shownTheme } from "./theme.js";

/**
 * Colours for what is drawn on a canvas, which CSS cannot reach. Series colours keep 3:1 against the card in their theme and stay
 * apart for the common kinds of colour blindness; from the ninth series on they come again, dashed.
 */
export interface Palette {
  text: string;
  faint: string;
  grid: string;
  gap: string;
  gapEdge: string;
  alert: string;
  series: string[];
}

const light: Palette = {
  text: "#4a5c66",
  faint: "#93a4ad",
  grid: "#e6ecef",
  gap: "rgba(176, 94, 10, 0.12)",
  gapEdge: "rgba(176, 94, 10, 0.45)",
  alert: "#b3231b",
  series: ["#0b6a8c", "#c2410c", "#15803d", "#8b3fa8", "#a16207", "#be185d", "#475569", "#4f46e5"],
};

const dark: Palette = {
  text: "#9fb2bc",
  faint: "#5d717b",
  grid: "#22313a",
  gap: "rgba(240, 170, 80, 0.13)",
  gapEdge: "rgba(240, 170, 80, 0.5)",
  alert: "#ff8f86",
  series: ["#56c5ea", "#ff9d66", "#5fd49b", "#cf9bf0", "#e5c453", "#ff85ba", "#a9b9c6", "#a3a8ff"],
};

export function palette(): Palette {
  return shownTheme() === "dark" ? dark : light;
}

export function seriesColour(place: number): string {
  const { series } = palette();
  return series[place % series.length]!;
}

export function isDashed(place: number): boolean {
  return place >= light.series.length;
}

/** A colour of the palette with another opacity. */
export function faded(colour: string, opacity: number): string {
  const part = (at: number) => parseInt(colour.slice(at, at + 2), 16);
  return `rgba(${part(1)}, ${part(3)}, ${part(5)}, ${opacity})`;
}
