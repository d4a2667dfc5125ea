import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { lastUser, rememberUser, type Said } from "../acknowledgement.js";

/**
 * Who does something, and why: for violations and alerts alike. What was typed stays until the form is closed, whatever weir answers.
 * `reason`: whether one must be given; where there are `reasons`, as one of their codes or in words.
 */
export function SignForm(of: {
  label: string;
  verb: string;
  reason: "wanted" | "welcome" | "none";
  reasons?: Record<string, string>;
  /** Where a person began who came here on purpose: the form takes the focus. */
  focus?: boolean;
  busy?: boolean;
  trouble: string;
  head?: ComponentChildren;
  children?: ComponentChildren;
  onSay: (said: Said) => void;
  onClose: () => void;
}) {
  const [user, setUser] = useState(lastUser());
  const [reason, setReason] = useState("");
  const [code, setCode] = useState("");
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => {
    if (of.focus) form.current!.querySelectorAll<HTMLElement>("input, select")[user ? 1 : 0]?.focus();
  }, []);
  return (
    <form
      ref={form}
      class="acknowledge"
      aria-label={of.label}
      onSubmit={(event) => {
        event.preventDefault();
        if (of.busy) return;
        rememberUser(user);
        of.onSay({ user, ...(reason ? { reason } : {}), ...(code ? { reason_code: code } : {}) });
      }}
    >
      {of.head}
      <label>
        Name <input required maxLength={255} value={user} onInput={(event) => setUser(event.currentTarget.value)} />
      </label>
      {of.reason === "wanted" && (
        <label>
          Reason{" "}
          <select value={code} onChange={(event) => setCode(event.currentTarget.value)}>
            <option value="">in words</option>
            {Object.entries(of.reasons ?? {}).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
      )}
      {of.reason !== "none" && (
        <label class="sign-words">
          <span class="unseen">Reason in words</span>
          <input
            placeholder={of.reason === "wanted" ? "What was found and done" : "Why (may stay empty)"}
            required={of.reason === "wanted" && code === ""}
            maxLength={1000}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
      )}
      {of.children}
      <button type="submit" aria-disabled={of.busy}>
        {of.verb}
      </button>
      <button type="button" class="quiet" onClick={of.onClose}>
        Close
      </button>
      {of.trouble && (
        <p class="warning" role="alert">
          {of.trouble}
        </p>
      )}
    </form>
  );
}
