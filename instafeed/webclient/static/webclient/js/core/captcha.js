// The proof of work of a registration (https://altcha.org). This module is also its own worker, so that the page stays
// responsive: in that way the worker's address has the hash of the static files, as the address of each module.

import { ApiError, get } from "./api.js";

const BATCH_SIZE = 500; // hashes that are computed at the same time

/** Return the solution of a new challenge, for `POST /auth/register`. Raises ApiError. */
export async function solveCaptcha() {
  if (!crypto.subtle) throw failure("Registering on this site needs HTTPS.");
  const challenge = await get("/auth/captcha");
  const number = await searchInWorker(challenge);
  if (number === null) throw failure("The captcha could not be solved. Try again.");
  const { algorithm, salt, signature } = challenge;
  return btoa(JSON.stringify({ algorithm, challenge: challenge.challenge, number, salt, signature }));
}

const failure = (detail) => new ApiError(0, [{ code: "captcha_failed", detail, attr: null }]);

function searchInWorker(challenge) {
  const worker = new Worker(import.meta.url, { type: "module" });
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => resolve(data));
    // A browser without workers of this kind: the page searches.
    worker.addEventListener("error", () => search(challenge).then(resolve, reject));
    worker.postMessage(challenge);
  }).finally(() => worker.terminate());
}

/** Return the number that, behind the salt, has the hash of the challenge. Null if there is none. */
async function search({ challenge, salt, maxnumber }) {
  const encoder = new TextEncoder();
  for (let start = 0; start <= maxnumber; start += BATCH_SIZE) {
    const numbers = Array.from({ length: Math.min(BATCH_SIZE, maxnumber - start + 1) }, (_, index) => start + index);
    const hashes = await Promise.all(numbers.map((number) => crypto.subtle.digest("SHA-256", encoder.encode(salt + number))));
    const found = hashes.findIndex((hash) => hexadecimal(hash) === challenge);
    if (found >= 0) return start + found;
  }
  return null;
}

const hexadecimal = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

if (typeof window === "undefined") self.addEventListener("message", async ({ data }) => self.postMessage(await search(data)));
