// Who is signed in. The refresh token is in a cookie that scripts cannot read (PUT /auth/session).
//
// A window belongs to one user: when the session has ended, or is now another user's (another tab has signed in), the
// page is loaded again, so that nothing of the one is left in its memory for the other.

import { ApiError, get, onTokenNeeded, post, put, request, setAccessToken } from "./api.js";
import { endSubscription } from "./push.js";
import { clear, read, write } from "./storage.js";
import { createStore, useStore } from "./store.js";

const PROFILE = "profile";

/** The own profile, null when signed out, undefined until `resume` has answered. */
export const me = createStore(undefined);
export const useMe = () => useStore(me);

let renewal = null;

/** Sign in with the session of the cookie, if there is one. While the site does not answer, with the last profile. */
export async function resume() {
  try {
    if (await renew()) return;
    await clear(); // the session has ended since the last visit
    me.set(null);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    me.set(error.status === 401 || error.status === 403 ? null : read(PROFILE));
  }
}

/** Raises ApiError, with code `otp_required` if the account has a second factor. */
export async function signIn(username, password, otp) {
  const tokens = await post("/auth/token", { username, password, ...(otp && { otp }) });
  await keep(tokens);
}

/** Keep the session of new tokens, from signing in or registering. */
export async function keep({ refresh }) {
  const { access } = await put("/auth/session", { refresh });
  setAccessToken(access);
  const profile = await get("/me");
  await clear(); // of a user who was here before
  me.set(profile);
}

/** Raises ApiError if the site does not answer: the user is signed in still. */
export async function signOut() {
  await request("DELETE", "/auth/session", { token: null, repeatable: true });
  await endSubscription().catch(console.warn); // the site sends nothing to an ended session
  await leave();
}

/** Forget the user, whose session has ended, and load the first page. */
export async function leave() {
  await clear();
  location.replace("/");
}

/** Get a new access token. Calls at the same time share one request. Resolves to false when signed out. */
export function renew() {
  renewal ??= renewNow().finally(() => {
    renewal = null;
  });
  return renewal;
}

async function renewNow() {
  // An answer that was lost is sent again within the time in which the former refresh token still works.
  const answer = await request("POST", "/auth/session", { token: null, repeatable: true });
  const profile = answer && (await request("GET", "/me", { token: answer.access }));
  if (me.get() && me.get().id !== profile?.id) {
    await clear();
    location.reload();
    return false;
  }
  setAccessToken(answer?.access ?? null);
  if (answer && !me.get()) me.set(profile);
  return Boolean(answer);
}

onTokenNeeded(() => Boolean(me.get()), renew);

// The name and picture, so that the client shows the last feed without a connection.
me.subscribe((profile) => {
  if (profile) write(PROFILE, profile);
});

// Another tab has signed out, or in as someone else.
window.addEventListener("storage", ({ key }) => {
  const isAbout = key === PROFILE || key === null; // null: all was removed
  if (isAbout && me.get() && read(PROFILE)?.id !== me.get().id) location.reload();
});
