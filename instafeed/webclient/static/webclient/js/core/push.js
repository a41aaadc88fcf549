// Push messages to this browser. Its subscription belongs to the user who asked for it, and ends with the session.

import { ApiError, del, get, post } from "./api.js";
import { instance } from "./instance.js";

const OWNER = "push"; // in localStorage: the id of that user

/** Whether the site sends push messages and this browser can show them. */
export const canPush = () =>
  Boolean(instance.get()?.features.includes("push")) && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

export async function isSubscribed(userId) {
  return localStorage.getItem(OWNER) === userId && Boolean(await currentSubscription());
}

/** Ask for the permission and subscribe. Resolves to false if the user does not give it. */
export async function subscribe(userId) {
  if ((await Notification.requestPermission()) !== "granted") return false;
  const [registration, { key }] = await Promise.all([navigator.serviceWorker.ready, get("/push/key")]);
  await (await registration.pushManager.getSubscription())?.unsubscribe(); // of another user, or for another key
  await send(await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
  localStorage.setItem(OWNER, userId);
  return true;
}

export async function unsubscribe() {
  const subscription = await currentSubscription();
  await endSubscription();
  if (subscription) await del("/push/subscriptions", { endpoint: subscription.endpoint });
}

/** Unsubscribe the browser only. The site deletes the subscription with the session. */
export async function endSubscription() {
  localStorage.removeItem(OWNER);
  await (await currentSubscription())?.unsubscribe();
}

/**
 * Tell the site the subscription again, which may have changed, and subscribe again if the site has a new key. Ends a
 * subscription that another user left behind. For the start of the client.
 */
export async function keepSubscription(userId) {
  const subscription = canPush() ? await currentSubscription() : null;
  if (!subscription) return;
  try {
    if (localStorage.getItem(OWNER) !== userId) await subscription.unsubscribe();
    else if (encode(subscription.options.applicationServerKey) === (await get("/push/key")).key) await send(subscription);
    else await subscribe(userId);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    console.warn(error);
  }
}

const send = (subscription) => post("/push/subscriptions", subscription.toJSON());

async function currentSubscription() {
  const registration = await navigator.serviceWorker?.getRegistration();
  return registration?.pushManager?.getSubscription();
}

function encode(buffer) {
  const text = btoa(String.fromCharCode(...new Uint8Array(buffer)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
