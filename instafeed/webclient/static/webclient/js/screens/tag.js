import { html } from "../core/html.js";
import { usePosts } from "../core/post_lists.js";
import { PostGrid } from "../components/grid.js";
import { Heading } from "../components/layout.js";

export function Tag({ tag }) {
  const list = usePosts(`/hashtags/${encodeURIComponent(tag)}/posts?limit=30`);
  return html`<div class="wide">
    <${Heading} title=${`#${tag}`} />
    <${PostGrid} list=${list} empty=${html`<p>No public post has this hashtag.</p>`} />
  </div>`;
}
