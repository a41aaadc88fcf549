// The feed: new posts announce themselves at the top, older ones load while the user scrolls.

import { html, useEffect } from "../core/html.js";
import { feedShows, unread } from "../core/live.js";
import { usePosts } from "../core/post_lists.js";
import { useStore } from "../core/store.js";
import { count } from "../core/text.js";
import { useTitle } from "../components/layout.js";
import { EndlessList } from "../components/list.js";
import { PostCard } from "../components/post_card.js";
import { Icon } from "../components/icons.js";

export function Feed() {
  useTitle("");
  const list = usePosts("/feed?limit=10");
  const { posts } = useStore(unread);
  const first = list.items[0];
  useEffect(() => {
    if (first) feedShows(first);
  }, [first]);
  const showNew = async () => {
    await list.reload();
    window.scrollTo({ top: 0, behavior: "smooth" });
  };
  return html`<h1 class="hidden">Feed</h1>
    <div class="column">
      ${posts > 0 &&
      html`<button type="button" class="new-posts" onClick=${showNew}>
        <${Icon} name="up" /> ${count(posts, "new post")}
      </button>`}
      <${EndlessList}
        list=${list}
        class="posts"
        label="Posts"
        render=${(id, index) => html`<${PostCard} id=${id} isFirst=${index === 0} />`}
        empty=${html`<h2>Your feed is empty</h2>
          <p>Follow some accounts, and their posts appear here.</p>
          <p><a class="button primary" href="/explore">Explore</a></p>`}
      />
    </div>`;
}
