// Pages without reloading: the address bar, the history, and the position of the scroll bar in it.

import { useRef } from "./html.js";
import { randomId } from "./ids.js";
import { createStore, useStore } from "./store.js";

const location_ = createStore(readLocation());
const positions = new Map(); // {key of the history entry: scrollY}
let restored = null; // scrollY of the entry that the user went back to, until its page is tall enough

function readLocation() {
  const { pathname, search, hash } = window.location;
  return { path: pathname, query: new URLSearchParams(search), hash, key: history.state?.key ?? "first" };
}

export const useLocation = () => useStore(location_);
export const currentPath = () => location_.get().path;

/** Return a value behind the `#`, as in `#token=…`. It stays when a later link changes the address. */
export function useHashValue(name) {
  const { hash } = useLocation();
  const value = useRef(null);
  value.current = new URLSearchParams(hash.slice(1)).get(name) ?? value.current;
  return value.current;
}

export function navigate(url, { replace = false } = {}) {
  rememberPosition();
  const state = { key: randomId() };
  if (replace) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
  restored = null;
  location_.set(readLocation());
  window.scrollTo(0, 0);
}

/** Go back, or to `fallback` if the client was opened with this page. */
export function goBack(fallback) {
  if (location_.get().key === "first") navigate(fallback, { replace: true });
  else history.back();
}

/** Lists call this when they have rendered: scroll to where the user left, as soon as the page is tall enough. */
export function restoreScroll() {
  if (restored === null) return;
  if (document.documentElement.scrollHeight >= restored + window.innerHeight) {
    window.scrollTo(0, restored);
    restored = null;
  }
}

/** Follow links within the client, and the history. Call it once. */
export function startRouter(isOurs) {
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", () => {
    rememberPosition();
    const next = readLocation();
    restored = positions.get(next.key) ?? 0;
    location_.set(next);
    restoreScroll();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (link.target || link.download || link.origin !== window.location.origin || !isOurs(link.pathname)) return;
    event.preventDefault();
    const url = link.pathname + link.search + link.hash;
    if (link.hash && isHere(link)) focusOn(link.hash);
    else if (url === window.location.pathname + window.location.search) window.scrollTo({ top: 0, behavior: "smooth" });
    else navigate(url);
  });
}

const isHere = ({ pathname, search }) => pathname + search === window.location.pathname + window.location.search;

/** Go to a place in the page that is shown: `#main`. */
export function focusOn(hash) {
  const element = document.getElementById(hash.slice(1));
  element?.scrollIntoView();
  element?.focus({ preventScroll: true });
}

function rememberPosition() {
  positions.set(location_.get().key, window.scrollY);
}
