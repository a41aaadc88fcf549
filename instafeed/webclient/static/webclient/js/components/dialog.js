// Dialogs over the page. The browser keeps the focus inside, and Escape closes them.

import { html, useId, useLayoutEffect, useRef } from "../core/html.js";
import { IconButton } from "./icons.js";

/** `onClose` is called when the user closes the dialog; render it only while it is open. */
export function Dialog({ title, onClose, children, class: className = "" }) {
  const dialog = useRef(null);
  const titleId = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    const opener = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      setTimeout(() => opener?.isConnected && document.activeElement === document.body && opener.focus());
    };
  }, []);
  return html`<dialog
    ref=${dialog}
    class=${className}
    aria-labelledby=${titleId}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
    onClick=${(event) => event.target === dialog.current && onClose()}
  >
    <div class="dialog-content">
      <header>
        <h2 id=${titleId}>${title}</h2>
        <${IconButton} name="close" label="Close" onClick=${onClose} />
      </header>
      ${children}
    </div>
  </dialog>`;
}

/** Ask before something that cannot be taken back. */
export function Confirmation({ title, text, label, onConfirm, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose} class="confirmation">
    <p>${text}</p>
    <footer>
      <button type="button" onClick=${onClose}>Cancel</button>
      <button
        type="button"
        class="danger"
        onClick=${() => {
          onClose();
          onConfirm();
        }}
      >
        ${label}
      </button>
    </footer>
  <//>`;
}

/** A menu of actions as a dialog: `actions` is a list of {label, run, isDanger}, without the false ones. */
export function ActionMenu({ title, actions, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose} class="menu">
    <ul>
      ${actions.filter(Boolean).map(
        ({ label, run, isDanger }) => html`<li key=${label}>
          <button
            type="button"
            class=${isDanger ? "danger-text" : ""}
            onClick=${() => {
              onClose();
              run();
            }}
          >
            ${label}
          </button>
        </li>`,
      )}
    </ul>
  <//>`;
}
