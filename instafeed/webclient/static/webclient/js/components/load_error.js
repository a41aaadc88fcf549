import { html } from "../core/html.js";

/** Say why something could not be loaded, with a button that calls `retry`. */
export function LoadError({ error, retry }) {
  return html`<p class="list-error" role="alert">
    ${error.message} <button type="button" class="link" onClick=${retry}>Try again</button>
  </p>`;
}
