// Lists of posts.

import { useEffect } from "./html.js";
import { usePages } from "./pages.js";
import { getPost, onPostsRemoved, rememberPosts } from "./posts.js";

/** Load a list of posts. Its items are ids; removed posts leave it. */
export function usePosts(path) {
  const list = usePages(path, (posts) => {
    rememberPosts(posts);
    return posts.map(({ id }) => id);
  });
  useEffect(() => onPostsRemoved(() => list.change((ids) => ids.filter(getPost))), [list.change]);
  return list;
}
