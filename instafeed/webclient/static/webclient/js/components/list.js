// A list that loads its next page when its end comes near.

import { html, useEffect, useLayoutEffect, useRef } from "../core/html.js";
import { restoreScroll } from "../core/router.js";
import { LoadError } from "./load_error.js";

const DISTANCE = "1200px"; // from the bottom of the window to the end of the list

/** `list` comes from usePages; `render(item, index)` returns an element with a key. */
export function EndlessList({ list, render, empty, class: className = "", label, itemClass = "" }) {
  const end = useRef(null);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => entry.isIntersecting && !list.error && list.loadMore(),
      { rootMargin: DISTANCE },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
    // Observed again after each page: the end may still be near.
  }, [list.loadMore, list.items, list.isLoading, list.error]);
  useLayoutEffect(restoreScroll, [list.items]);
  return html`<div class="endless" aria-busy=${list.isLoading}>
    ${list.items.length > 0 &&
    html`<ul class=${className} aria-label=${label}>
      ${list.items.map((item, index) => html`<li key=${item.id ?? item} class=${itemClass}>${render(item, index)}</li>`)}
    </ul>`}
    ${list.isEnd && !list.items.length && html`<div class="empty">${empty}</div>`}
    ${list.isLoading && html`<p class="loading" role="status">Loading …</p>`}
    ${list.error && html`<${LoadError} error=${list.error} retry=${list.loadMore} />`}
    <div ref=${end}></div>
  </div>`;
}
