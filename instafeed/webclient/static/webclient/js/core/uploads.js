// Uploads of pictures: directly to the storage where it takes them, else through the API.

import { ApiError, del, get, patch, post } from "./api.js";

const POLL_INTERVAL = 1_000; // milliseconds
const MAX_POLL_INTERVAL = 30_000; // while the site does not answer
// Other types, and files whose type the browser does not know, go through the API, which looks into the file.
const DIRECT_TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"];

/**
 * Upload a file and return its media id. `onProgress` gets the share that is sent, from 0 to 1. Raises ApiError, and
 * AbortError after `signal`.
 */
export async function upload(file, { onProgress, signal }) {
  if (DIRECT_TYPES.includes(file.type)) {
    const { id, upload: form } = await post("/media/uploads", {
      filename: file.name,
      content_type: file.type,
      size: file.size,
    });
    if (await sendForm(form, file, { onProgress, signal })) {
      await post(`/media/${id}/complete`);
      return id;
    }
    del(`/media/${id}`).catch(() => {}); // the storage is out of reach of browsers: send the file through the API
  }
  const body = new FormData();
  body.append("file", file);
  return (await post("/media", body, { signal, isLong: true })).id;
}

/** Wait until a picture is processed and return the media. Raises ApiError if it cannot be used. */
export async function processed(id, signal) {
  for (let pause = POLL_INTERVAL; ; ) {
    const media = await get(`/media/${id}`, { signal }).catch(nullUnlessFinal);
    if (media?.status === "ready") return media;
    if (media?.status === "failed") throw new ApiError(400, [{ code: "failed", detail: media.error }]);
    pause = media ? POLL_INTERVAL : Math.min(2 * pause, MAX_POLL_INTERVAL);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** No connection, too many requests, a site that is down: the picture itself is fine. */
function nullUnlessFinal(error) {
  if (error.status === 0 || error.status === 429 || error.status >= 500) return null;
  throw error;
}

export const setAltText = (id, text) => patch(`/media/${id}`, { alt_text: text });
export const removeUpload = (id) => del(`/media/${id}`).catch(() => {});

/** Return whether the storage took the file. XMLHttpRequest, because fetch does not tell the progress. */
function sendForm({ method, url, fields }, file, { onProgress, signal }) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append("file", file);
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open(method, url);
    sending.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    sending.addEventListener("load", () => resolve(sending.status < 300));
    sending.addEventListener("error", () => resolve(false));
    sending.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(body);
  });
}
