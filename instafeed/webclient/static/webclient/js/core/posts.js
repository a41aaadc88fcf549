// All posts that were loaded. Lists hold ids, so that a like shows wherever the post is.

import { useLayoutEffect, useState } from "./html.js";
import { useLike, useSwitch } from "./switches.js";

const posts = new Map();
const listeners = new Map(); // {id: Set of functions}
const removalListeners = new Set();

export const getPost = (id) => posts.get(id);

export function rememberPosts(loaded) {
  for (const each of loaded) setPost(each);
}

export function setPost(loaded) {
  posts.set(loaded.id, loaded);
  for (const listener of listeners.get(loaded.id) ?? []) listener();
}

export function changePost(id, change) {
  const known = posts.get(id);
  if (known) setPost({ ...known, ...change(known) });
}

/** Remove a post from all lists: it was deleted, or is out of sight now. */
export function removePosts(isGone) {
  for (const [id, each] of posts) if (isGone(each)) posts.delete(id);
  for (const listener of removalListeners) listener(isGone);
}

export function onPostsRemoved(listener) {
  removalListeners.add(listener);
  return () => removalListeners.delete(listener);
}

/** Return the post and render again when it changes. */
export function usePost(id) {
  const [, renderAgain] = useState(0);
  // At once, not after the next frame: a change in between would be missed.
  useLayoutEffect(() => {
    const listener = () => renderAgain((count) => count + 1);
    if (!listeners.has(id)) listeners.set(id, new Set());
    listeners.get(id).add(listener);
    return () => listeners.get(id).delete(listener);
  }, [id]);
  return posts.get(id);
}

/** Return [liked, count, set] of a post. */
export const usePostLike = (post) => useLike(`/posts/${post.id}/like`, post, answersOf(post));

/** Return [saved, set] of a post. */
export const usePostSave = (post) => useSwitch(`/posts/${post.id}/save`, post.saved, answersOf(post));

const answersOf = ({ id }) => ({ onAnswer: (answer) => changePost(id, () => answer), source: `/posts/${id}` });
