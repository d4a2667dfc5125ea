/** Who acknowledges something and why, as the HTTP interface takes it of violations and alerts alike: the reason in words, as a code, or both. */
export interface Said {
  user: string;
  reason?: string;
  reason_code?: string;
}

/** A code as people say it; what is not in the table is shown as it came. */
export function reasonText(reasons: Record<string, string>, code: string | null | undefined): string {
  return code ? (reasons[code] ?? code) : "";
}

const user_name = "weir.user";

/** Who signed last in this browser: asked once, offered from then on. */
export function lastUser(): string {
  return localStorage.getItem(user_name) ?? "";
}
export function rememberUser(user: string): void {
  localStorage.setItem(user_name, user);
}
