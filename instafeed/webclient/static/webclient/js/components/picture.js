// A picture of a post: in the size that fits, over its blurhash until it has loaded.

import { decode } from "../../vendor/blurhash.js";
import { html, useEffect, useRef, useState } from "../core/html.js";

const BLURHASH_SIZE = 32; // pixels

/** `sizes` is the attribute of <img>: how wide the picture will be. */
export function Picture({ media, sizes, isLazy = true }) {
  const [state, setState] = useState("loading");
  useEffect(() => setState("loading"), [media.id]);
  const variants = Object.values(media.variants ?? {}).sort((one, other) => one.width - other.width);
  const srcset = variants.map(({ url, width }) => `${url} ${width}w`).join(", ");
  return html`<div class="picture" data-state=${state}>
    ${media.blurhash && state !== "loaded" && html`<${Blurhash} hash=${media.blurhash} />`}
    ${media.url
      ? html`<img
          src=${media.url}
          srcset=${srcset || undefined}
          sizes=${srcset ? sizes : undefined}
          alt=${media.alt_text}
          width=${media.width}
          height=${media.height}
          loading=${isLazy ? "lazy" : "eager"}
          decoding="async"
          ref=${(image) => image?.complete && image.naturalWidth && state === "loading" && setState("loaded")}
          onLoad=${() => setState("loaded")}
          onError=${() => setState("failed")}
        />`
      : html`<p class="picture-note">The picture is being processed.</p>`}
    ${state === "failed" && html`<p class="picture-note">The picture could not be loaded.</p>`}
  </div>`;
}

function Blurhash({ hash }) {
  const canvas = useRef(null);
  useEffect(() => {
    const context = canvas.current.getContext("2d");
    const image = context.createImageData(BLURHASH_SIZE, BLURHASH_SIZE);
    image.data.set(decode(hash, BLURHASH_SIZE, BLURHASH_SIZE));
    context.putImageData(image, 0, 0);
  }, [hash]);
  return html`<canvas ref=${canvas} width=${BLURHASH_SIZE} height=${BLURHASH_SIZE} aria-hidden="true"></canvas>`;
}
