// Icons as inline SVG. They are hidden from screen readers: the button around one has the label.

import { html } from "../core/html.js";

const PATHS = {
  home: "M3 11.5 12 4l9 7.5V20a1 1 0 0 1-1 1h-5v-6H9v6H4a1 1 0 0 1-1-1z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm5 12 5 5",
  explore: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm4 5-2.4 5.6L8 16l2.4-5.6z",
  bell: "M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15zM10 21h4",
  plus: "M4 4h16v16H4zM12 8v8M8 12h8",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4.4 3.6-7 8-7s8 2.6 8 7",
  heart: "M12 20.5 4.3 13A5.2 5.2 0 0 1 12 6.2 5.2 5.2 0 0 1 19.7 13z",
  comment: "M4 4h16v12h-9l-5 4v-4H4z",
  bookmark: "M6 3h12v18l-6-4.5L6 21z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M5 5l14 14M19 5 5 19",
  back: "M14 5l-7 7 7 7",
  next: "M10 5l7 7-7 7",
  up: "M12 19V5M5 12l7-7 7 7",
  down: "M12 5v14M5 12l7 7 7-7",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  lock: "M6 11h12v10H6zM8 11V8a4 4 0 0 1 8 0v3",
  pictures: "M7 3h14v14H7zM3 7v14h14",
  share: "M12 15V4M8 8l4-4 4 4M5 12v8h14v-8",
};

export function Icon({ name, filled = false }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" data-filled=${filled}>
    <path d=${PATHS[name]} />
  </svg>`;
}

/** A button that shows only an icon. */
export function IconButton({ name, label, filled, pressed, class: className = "", ...others }) {
  return html`<button
    type="button"
    class=${`icon-button ${className}`}
    aria-label=${label}
    title=${label}
    aria-pressed=${pressed}
    ...${others}
  >
    <${Icon} name=${name} filled=${filled} />
  </button>`;
}
