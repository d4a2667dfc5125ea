/** Causes of gaps and reasons of empty windows, as people say them. What is not in the table is shown as it came. */
const texts: Record<string, string> = {
  connecting: "connecting",
  upstream_silent: "source silent",
  upstream_closed: "source closed the connection",
  weir_down: "weir was down",
  clock_step: "clock stepped",
  source_changed: "source changed",
  stopped: "weir was stopped",
  no_readings: "no readings",
};

export function causeText(cause: string): string {
  return texts[cause] ?? cause.replaceAll("_", " ");
}
