import { html } from "../core/html.js";
import { Heading } from "../components/layout.js";

export function NotFound() {
  return html`<div class="column">
    <${Heading} title="Not found" />
    <p>There is nothing here, or you may not see it.</p>
    <p><a href="/">Home</a></p>
  </div>`;
}
