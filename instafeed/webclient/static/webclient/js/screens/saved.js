import { html } from "../core/html.js";
import { usePosts } from "../core/post_lists.js";
import { PostGrid } from "../components/grid.js";
import { Heading } from "../components/layout.js";

export function Saved() {
  const list = usePosts("/me/saved?limit=30");
  return html`<div class="wide">
    <${Heading} title="Saved posts" />
    <p class="quiet">Only you see what you have saved.</p>
    <${PostGrid} list=${list} empty=${html`<p>You have saved no posts yet.</p>`} />
  </div>`;
}
