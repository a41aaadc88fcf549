// Short messages at the bottom of the window, read aloud by screen readers.

import { html } from "./html.js";
import { createStore, useStore } from "./store.js";

const DURATION = 5_000; // milliseconds
const LATER = "message"; // in sessionStorage
const messages = createStore([]);
let lastId = 0;

/** Show a text for some seconds; `action` is {label, run}. */
export function say(text, action) {
  const message = { id: ++lastId, text, action };
  messages.set((shown) => [...shown.slice(-1), message]);
  setTimeout(() => dismiss(message.id), DURATION);
}

/** Show a text when the page has loaded again. */
export function sayLater(text) {
  sessionStorage.setItem(LATER, text);
}

export function sayKept() {
  const text = sessionStorage.getItem(LATER);
  if (text) say(text);
  sessionStorage.removeItem(LATER);
}

/** Show why a call failed. For errors that belong to no field. */
export function sayError(error) {
  console.warn(error);
  say(error.message);
}

function dismiss(id) {
  messages.set((shown) => shown.filter((message) => message.id !== id));
}

export function Messages() {
  const shown = useStore(messages);
  return html`<div class="messages" role="status" aria-live="polite">
    ${shown.map(
      ({ id, text, action }) => html`<p class="message" key=${id}>
        <span>${text}</span>
        ${action &&
        html`<button
          class="link"
          onClick=${() => {
            dismiss(id);
            action.run();
          }}
        >
          ${action.label}
        </button>`}
      </p>`,
    )}
  </div>`;
}
