// What is new: posts in the feed, unread notifications. From the stream, and from reading again when it is not there.

import { ApiError, currentToken, get } from "./api.js";
import { instance } from "./instance.js";
import { me, renew } from "./session.js";
import { createStore } from "./store.js";

/** {posts, notifications}: the numbers of new posts above the feed's first one, and of unread notifications. */
export const unread = createStore({ posts: 0, notifications: 0 });

const MAX_DELAY = 60_000; // milliseconds between two attempts, and between two reads without a stream
let newestPost = null; // the first post of the feed that the user has seen
let mustCountPosts = false; // there may be newer ones
let countings = 0; // of posts, so far: only the answer to the last one is used

/** The feed shows this post first: count the newer ones. */
export function feedShows(postId) {
  newestPost = postId;
  countings += 1;
  unread.set((counts) => ({ ...counts, posts: 0 }));
  if (mustCountPosts) countPosts().catch(rethrowBug);
}

/** Read how many posts are newer than the first one of the feed; later, if the feed shows none yet. */
async function countPosts() {
  mustCountPosts = true;
  if (!newestPost) return;
  const own = (countings += 1);
  const { count } = await get(`/feed/unread-count?since=${newestPost}`);
  if (own !== countings) return;
  mustCountPosts = false;
  unread.set((counts) => ({ ...counts, posts: count }));
}

async function countNotifications() {
  const { count } = await get("/notifications/unread-count");
  unread.set((counts) => ({ ...counts, notifications: count }));
}

/** Throw what is not a failed call. */
function rethrowBug(error) {
  if (!(error instanceof ApiError) && error.name !== "TypeError") throw error; // a TypeError: no connection
}

export function notificationsRead() {
  unread.set((counts) => ({ ...counts, notifications: 0 }));
}

/** Follow the stream while someone is signed in and the window is visible. Call it once. */
export function startLive() {
  let controller = null;
  const update = () => {
    const wanted = Boolean(me.get()) && document.visibilityState === "visible";
    if (wanted && !controller) {
      controller = new AbortController();
      follow(controller.signal);
    } else if (!wanted && controller) {
      controller.abort();
      controller = null;
    }
  };
  me.subscribe(update);
  document.addEventListener("visibilitychange", update);
  update();
}

async function follow(signal) {
  let delay = 1_000;
  let hadStream = false;
  while (!signal.aborted) {
    try {
      // The next stream counts the posts when it begins. If the last attempt failed, it may not begin.
      await Promise.all([!hadStream && newestPost && countPosts(), countNotifications()]);
      hadStream = false;
      const url = instance.get()?.stream_url;
      const onEvent = () => {
        delay = 1_000;
        hadStream = true;
      };
      if (url) await readStream(new URL(url, location.href), signal, onEvent);
      else delay = MAX_DELAY; // what the site has could not be read
    } catch (error) {
      if (signal.aborted) return;
      rethrowBug(error);
    }
    await new Promise((resolve) => setTimeout(resolve, delay * (0.75 + Math.random() / 2)));
    delay = Math.min(MAX_DELAY, delay * 2);
  }
}

/** Read events until the stream ends. EventSource cannot send the token, so this reads the body of a fetch. */
async function readStream(url, signal, onEvent) {
  const open = () =>
    fetch(url, { headers: { Authorization: `Bearer ${currentToken()}`, Accept: "text/event-stream" }, signal });
  let response = await open();
  if (response.status === 401 && (await renew())) response = await open();
  if (!response.ok) throw new ApiError(response.status, []);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let hasBegun = false;
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      if (!handle(event) || hasBegun) continue;
      hasBegun = true;
      mustCountPosts = true; // posts from before the stream have no event
    }
    if (mustCountPosts) countPosts().catch(rethrowBug);
    onEvent();
  }
}

/** Return whether the text is an event, not a comment. */
function handle(text) {
  const fields = Object.fromEntries(text.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*:\s?/, "")]));
  if (!fields.data) return false;
  const data = JSON.parse(fields.data);
  if (fields.event === "post") mustCountPosts = true;
  if (fields.event === "notification") unread.set((counts) => ({ ...counts, notifications: data.unread }));
  return true;
}
