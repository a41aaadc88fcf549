// The field for a new username, with the rule of the API.

import { html } from "../core/html.js";
import { Field } from "./form.js";

const RULE = "Letters from a to z, digits, dots and underscores.";

/** `hint` is shown below the field, after the rule if `showsRule`. */
export function UsernameField({ hint, showsRule = false, ...others }) {
  return html`<${Field}
    label="Username"
    name="username"
    required
    minlength="3"
    maxlength="30"
    pattern="[A-Za-z0-9._]+"
    title=${RULE}
    autocomplete="username"
    autocapitalize="none"
    spellcheck="false"
    hint=${showsRule ? `${RULE} ${hint}` : hint}
    ...${others}
  />`;
}
