// Posts as squares, three in a row.

import { html } from "../core/html.js";
import { usePost } from "../core/posts.js";
import { count } from "../core/text.js";
import { Icon } from "./icons.js";
import { EndlessList } from "./list.js";
import { Picture } from "./picture.js";

const SIZES = "(min-width: 60rem) 18rem, 33vw";

export function PostGrid({ list, empty }) {
  return html`<${EndlessList}
    list=${list}
    class="grid"
    label="Posts"
    render=${(id, index) => html`<${Tile} id=${id} isLazy=${index >= 9} />`}
    empty=${empty}
  />`;
}

function Tile({ id, isLazy }) {
  const post = usePost(id);
  if (!post) return null;
  const [first] = post.media;
  const label = `Post by ${post.author.username}, ${count(post.like_count, "like")}`;
  return html`<a class="tile" href=${`/p/${id}`} aria-label=${label}>
    ${first
      ? html`<${Picture} media=${first} sizes=${SIZES} isLazy=${isLazy} />`
      : html`<p class="tile-text" dir="auto">${post.caption}</p>`}
    ${post.media.length > 1 && html`<span class="tile-many"><${Icon} name="pictures" /></span>`}
    <span class="tile-counts" aria-hidden="true">
      <${Icon} name="heart" filled /> ${post.like_count} <${Icon} name="comment" filled /> ${post.comment_count}
    </span>
  </a>`;
}
