// What the site is called and allows (GET /instance). Null until it is loaded.

import { get } from "./api.js";
import { createStore } from "./store.js";

export const instance = createStore(null);

export async function loadInstance() {
  instance.set(await get("/instance"));
}
