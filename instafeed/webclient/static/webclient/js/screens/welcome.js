// The first page for visitors.

import { html } from "../core/html.js";
import { instance } from "../core/instance.js";
import { useStore } from "../core/store.js";
import { useTitle } from "../components/layout.js";

export function Welcome() {
  useTitle("");
  const site = useStore(instance);
  return html`<section class="welcome">
    <h1>${site?.name ?? "instafeed"}</h1>
    <p>${site?.description || "Pictures from people whom you follow, newest first."}</p>
    <p class="buttons">
      ${site && site.registration !== "closed" && html`<a class="button primary" href="/register">Create an account</a>`}
      <a class="button" href="/login">Sign in</a>
    </p>
  </section>`;
}
