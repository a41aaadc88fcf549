// The pictures of a post, side by side. Swiping, arrow keys and the buttons go from one to the next.

import { html, useRef, useState } from "../core/html.js";
import { IconButton } from "./icons.js";
import { Picture } from "./picture.js";

const SIZES = "(min-width: 40rem) 36rem, 100vw";
const MIN_RATIO = 4 / 5;
const MAX_RATIO = 1.91;

export function Carousel({ media, isLazy }) {
  const strip = useRef(null);
  const [index, setIndex] = useState(0);
  const ratio = aspectRatio(media[0]);
  const show = (position) => {
    const bounded = Math.max(0, Math.min(media.length - 1, position));
    strip.current.scrollTo({ left: bounded * strip.current.clientWidth, behavior: "smooth" });
  };
  if (media.length === 1)
    return html`<div class="carousel" style=${{ aspectRatio: ratio }}>
      <${Picture} media=${media[0]} sizes=${SIZES} isLazy=${isLazy} />
    </div>`;
  return html`<div class="carousel" role="group" aria-roledescription="carousel" aria-label="Pictures">
    <div
      class="strip"
      ref=${strip}
      style=${{ aspectRatio: ratio }}
      tabindex="0"
      role="group"
      aria-label=${`Picture ${index + 1} of ${media.length}`}
      onScroll=${() => setIndex(Math.round(strip.current.scrollLeft / strip.current.clientWidth))}
      onKeyDown=${(event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) {
          event.preventDefault();
          show(index + step);
        }
      }}
    >
      ${media.map((each, number) => html`<${Picture} key=${each.id} media=${each} sizes=${SIZES} isLazy=${isLazy || number > 0} />`)}
    </div>
    ${index > 0 && html`<${IconButton} name="back" label="Previous picture" class="previous" onClick=${() => show(index - 1)} />`}
    ${index < media.length - 1 &&
    html`<${IconButton} name="next" label="Next picture" class="next" onClick=${() => show(index + 1)} />`}
    <span class="dots" aria-hidden="true">
      ${media.map((each, number) => html`<i key=${each.id} data-current=${number === index}></i>`)}
    </span>
  </div>`;
}

/** All pictures of a post have the shape of the first one, within limits, so that nothing moves while they load. */
function aspectRatio({ width, height }) {
  if (!width || !height) return 1;
  return Math.max(MIN_RATIO, Math.min(MAX_RATIO, width / height));
}
