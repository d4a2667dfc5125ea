/** Light or dark: the system's choice unless a person made one, which this browser remembers. */
export type Theme = "auto" | "light" | "dark";

const stored_name = "weir.theme";
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

export function chosenTheme(): Theme {
  const stored = localStorage.getItem(stored_name);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

export function chooseTheme(theme: Theme): void {
  if (theme === "auto") localStorage.removeItem(stored_name);
  else localStorage.setItem(stored_name, theme);
  applyTheme();
}

/** What is shown, whoever chose it. */
export function shownTheme(): "light" | "dark" {
  const theme = chosenTheme();
  return theme === "auto" ? (darkSystem.matches ? "dark" : "light") : theme;
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = shownTheme();
}

export function onSystemTheme(changed: () => void): void {
  darkSystem.addEventListener("change", changed);
}
