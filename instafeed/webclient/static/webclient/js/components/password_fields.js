// The fields for passwords, so that password managers know the account and which password is meant.

import { html } from "../core/html.js";
import { instance } from "../core/instance.js";
import { useMe } from "../core/session.js";
import { useStore } from "../core/store.js";
import { Field } from "./form.js";

/** The password of the own account. */
export function CurrentPassword({ label = "Current password", name = "current_password", error }) {
  return html`<input type="text" autocomplete="username" value=${useMe()?.username} readonly hidden />
    <${Field} label=${label} name=${name} type="password" required autocomplete="current-password" error=${error} />`;
}

export function NewPassword({ label = "New password", name = "new_password", error }) {
  const minLength = useStore(instance)?.limits.password ?? 8;
  return html`<${Field}
    label=${label}
    name=${name}
    type="password"
    required
    minlength=${minLength}
    autocomplete="new-password"
    hint=${`At least ${minLength} characters, and not a common password.`}
    error=${error}
  />`;
}
