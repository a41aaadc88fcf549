/** Return a random text, for idempotency keys. `crypto.randomUUID` needs HTTPS, this does not. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
