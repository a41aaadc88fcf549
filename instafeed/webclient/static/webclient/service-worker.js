// The service worker: the client opens without a connection, with the last feed and its pictures.
// It shows push messages too.
// The server puts constants before this: FILES, the addresses of the client's files, their VERSION, and an ICON.

const SHELL = `shell-${VERSION}`;
const DATA = "data"; // of the user: core/storage.js removes it and the pictures on signing out
const PICTURES = "pictures";
const MAX_PICTURES = 200;
const KEPT_CALLS = [/^\/api\/v1\/feed$/, /^\/api\/v1\/me$/, /^\/api\/v1\/instance$/];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(["/", ...FILES]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => ![SHELL, DATA, PICTURES].includes(name)).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const url = new URL(request.url);
  if (request.mode === "navigate" && url.origin === location.origin && !/^\/(admin|docs|schema|health|metrics|api|files|static)\b/.test(url.pathname))
    event.respondWith(fetch(request).catch(async () => (await caches.match("/")) ?? Response.error()));
  else if (FILES.includes(url.pathname)) event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
  else if (KEPT_CALLS.some((call) => call.test(url.pathname)) && !url.searchParams.has("cursor"))
    event.respondWith(networkFirst(event, DATA, url.pathname));
  else if (request.destination === "image" && url.origin === location.origin && !url.pathname.startsWith("/static/")) event.respondWith(networkFirst(event, PICTURES, request, dropOldPictures));
});

/** Answer with what is kept only without a connection: what was hidden or deleted must not be shown again. */
async function networkFirst(event, cacheName, key, afterwards) {
  try {
    const response = await fetch(event.request);
    // Beside the answer, which must not wait, and not fail when the browser keeps no more.
    if (response.ok) event.waitUntil(keep(cacheName, key, response.clone()).then(afterwards).catch(console.warn));
    return response;
  } catch (error) {
    const kept = await caches.match(key, { cacheName });
    if (kept) return kept;
    throw error;
  }
}

async function keep(cacheName, key, response) {
  await (await caches.open(cacheName)).put(key, response);
}

async function dropOldPictures() {
  const cache = await caches.open(PICTURES);
  const kept = await cache.keys();
  await Promise.all(kept.slice(0, Math.max(0, kept.length - MAX_PICTURES)).map((old) => cache.delete(old)));
}

// --- Push messages: {kind, id, tag, unread} -------------------------------------------------------------

const SENTENCES = {
  like: "Someone liked what you posted",
  comment: "New comment on your post",
  reply: "New reply to your comment",
  mention: "Someone mentioned you",
  follow: "You have a new follower",
  follow_request: "Someone asks to follow you",
  follow_accepted: "Your request to follow was accepted",
  media_failed: "A picture of your post could not be processed",
  warning: "The moderators have warned you",
  content_hidden: "A moderator hid something that you posted",
  decision: "The moderators have decided something that concerns you",
};
const LIST = "/notifications";

self.addEventListener("push", (event) => {
  const { kind, tag, unread } = event.data.json();
  event.waitUntil(
    self.registration.showNotification(SENTENCES[kind] ?? "You have a new notification", {
      body: unread > 1 ? `${unread} unread notifications` : "",
      icon: ICON,
      tag, // replaces the message about the same notification
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(openList());
});

async function openList() {
  const [client] = await self.clients.matchAll({ type: "window" });
  if (!client) return self.clients.openWindow(LIST);
  client.postMessage({ open: LIST });
  return client.focus();
}

/** The push service has ended the subscription: make a new one, with the session of the cookie. */
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(subscribeAgain()));

async function subscribeAgain() {
  const session = await fetch("/api/v1/auth/session", { method: "POST" });
  if (session.status !== 200) return;
  const headers = { Authorization: `Bearer ${(await session.json()).access}`, "Content-Type": "application/json" };
  const { key } = await (await fetch("/api/v1/push/key", { headers })).json();
  const subscription = await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await fetch("/api/v1/push/subscriptions", { method: "POST", headers, body: JSON.stringify(subscription) });
}
