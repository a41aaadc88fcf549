// What the browser keeps for the user between visits: values of the client, and what the service worker keeps.

const CACHES = ["data", "pictures"]; // of service-worker.js

/** Return the value, or null without one. */
export function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null; // not readable, or the browser keeps nothing
  }
}

/** Keep a value; null removes it. A browser may refuse, as when it is full: the client works without. */
export function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch (error) {
    console.warn(error);
  }
}

/** Remove everything. */
export async function clear() {
  try {
    localStorage.clear();
    await Promise.all(CACHES.map((name) => globalThis.caches?.delete(name)));
  } catch (error) {
    console.warn(error);
  }
}
