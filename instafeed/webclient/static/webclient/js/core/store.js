// A value that components share.

import { useLayoutEffect, useState } from "./html.js";

/** Return {get, set, subscribe}. `set` takes the new value, or a function of the old one. */
export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Return the store's value and render again when it changes. */
export function useStore(store) {
  const [, renderAgain] = useState(0);
  // At once, not after the next frame: a value that is set in between would be missed.
  useLayoutEffect(() => store.subscribe(() => renderAgain((count) => count + 1)), [store]);
  return store.get();
}
