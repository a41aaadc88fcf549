import { html } from "../core/html.js";
import { usePosts } from "../core/post_lists.js";
import { PostGrid } from "../components/grid.js";
import { Heading } from "../components/layout.js";

export function Explore() {
  const list = usePosts("/explore?limit=30");
  return html`<div class="wide">
    <${Heading} title="Explore" />
    <${PostGrid} list=${list} empty=${html`<p>There are no public posts yet.</p>`} />
  </div>`;
}
