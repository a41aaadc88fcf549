// Calls of the API. The access token is kept in memory only; `session.js` sets it and renews it.

const BASE = "/api/v1";
const MAX_ATTEMPTS = 3;
const TIMEOUT = 30_000; // milliseconds for each attempt

let accessToken = null;
let isSignedIn = () => false;
let renewToken = async () => false;

export function setAccessToken(token) {
  accessToken = token;
}

/**
 * `renew()` gets a new access token, when the API refuses the old one, or when a user who `isSigned()` in has none: the
 * client was opened without a connection. It resolves to false if there is none.
 */
export function onTokenNeeded(isSigned, renew) {
  isSignedIn = isSigned;
  renewToken = renew;
}

/** An answer of 4xx or 5xx, or none at all (status 0). `code` and `message` are those of the first error. */
export class ApiError extends Error {
  constructor(status, errors, retryAfter) {
    super(errors[0]?.detail ?? "The site does not answer. Check your connection.");
    this.status = status;
    this.errors = errors;
    this.code = errors[0]?.code ?? "offline";
    this.retryAfter = retryAfter;
  }

  /** The message for a field of the form, or undefined. */
  of(field) {
    return this.errors.find((error) => error.attr === field)?.detail;
  }
}

/**
 * Send a request and return the JSON of the answer, or null without one. Raises ApiError.
 *
 * `path` begins behind /api/v1; absolute URLs of this site, as in `next`, work too. `body` is sent as JSON, a FormData
 * as it is. GET, calls with `idempotencyKey` and those that are `repeatable` are repeated when the connection breaks or
 * an attempt takes longer than TIMEOUT, which a call that `isLong` may. `token` is sent in place of the access token,
 * which is not renewed then.
 */
export async function request(method, path, { body, idempotencyKey, signal, token, repeatable = false, isLong = false } = {}) {
  const isRepeated = repeatable || method === "GET" || idempotencyKey;
  if (token === undefined && !accessToken && isSignedIn()) await renewToken().catch(throwUnlessOffline);
  const url = path.startsWith("/") ? BASE + path : new URL(path).href.replace(/^https?:\/\/[^/]+/, "");
  for (let attempt = 1; ; attempt++) {
    const sentToken = token === undefined ? accessToken : token;
    const headers = new Headers();
    if (sentToken) headers.set("Authorization", `Bearer ${sentToken}`);
    if (idempotencyKey) headers.set("Idempotency-Key", idempotencyKey);
    let payload = body;
    if (body !== undefined && !(body instanceof FormData)) {
      headers.set("Content-Type", "application/json");
      payload = JSON.stringify(body);
    }
    const limit = isLong ? signal : withTimeout(signal);
    let response;
    let text;
    try {
      response = await fetch(url, { method, headers, body: payload, signal: limit, credentials: "same-origin" });
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      if (isRepeated && attempt < MAX_ATTEMPTS && navigator.onLine) {
        await new Promise((resolve) => setTimeout(resolve, 300 * attempt));
        continue;
      }
      throw new ApiError(0, []);
    }
    if (response.ok) return JSON.parse(text || "null");
    const error = readError(response, text);
    if (response.status === 401 && token === undefined && sentToken && error.code === "token_not_valid" && attempt === 1) {
      // Another call may have renewed it meanwhile.
      if (accessToken !== sentToken || (await renewToken())) continue;
    }
    throw error;
  }
}

/** Return a signal that aborts after TIMEOUT, and with `signal`. (Browsers of 2023 have no AbortSignal.any.) */
function withTimeout(signal) {
  const timeout = AbortSignal.timeout(TIMEOUT);
  if (!signal) return timeout;
  const controller = new AbortController();
  for (const each of [signal, timeout]) {
    if (each.aborted) controller.abort(each.reason);
    each.addEventListener("abort", () => controller.abort(each.reason), { once: true });
  }
  return controller.signal;
}

function throwUnlessOffline(error) {
  if (error.status !== 0) throw error; // else the service worker may have the answer
}

function readError(response, text) {
  let errors = [{ code: "error", detail: `The site answered with an error (${response.status}).`, attr: null }];
  try {
    errors = JSON.parse(text).errors ?? errors;
  } catch {
    // A server in front of the site has answered.
  }
  return new ApiError(response.status, errors, Number(response.headers.get("Retry-After")) || null);
}

export const get = (path, options) => request("GET", path, options);
export const post = (path, body, options) => request("POST", path, { body, ...options });
export const put = (path, body) => request("PUT", path, { body });
export const patch = (path, body) => request("PATCH", path, { body });
export const del = (path, body) => request("DELETE", path, { body });

/** Return the access token, for the stream. */
export const currentToken = () => accessToken;
