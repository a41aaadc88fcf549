// Uses both generated TypeScript clients: `make clients` compiles it, and nothing runs it.
import { createPost, getFeed, likePost, type Notification, type Profile } from "./generated/hey-api";
import type { components, paths } from "./generated/openapi-typescript";

type Post = components["schemas"]["Post"];
type Feed = paths["/api/v1/feed"]["get"]["responses"]["200"]["content"]["application/json"];

// Pictures are a list with an order.
export const pictures: Post["media"] = [];
export const first: Post["media"][number] | undefined = pictures[0];
export const next: Feed["next_cursor"] = null;

// A relationship is one type or null.
export function follows(profile: Profile): boolean {
  return profile.relationship?.following ?? false;
}

// Kinds are open: a value of a later version is a text.
export function isKnown(notification: Notification): boolean {
  const kind: string = notification.kind;
  return kind === "like" || kind === "comment";
}

export async function postAndLikeNewest(picture: string): Promise<string | null> {
  await createPost({ body: { caption: "The harbour tonight", media: [picture] } });
  const { data, error } = await getFeed({ query: { limit: 1 } });
  if (error) {
    return error.errors[0]?.code ?? null;
  }
  const newest = data?.results[0];
  if (newest) {
    await likePost({ path: { post_id: newest.id } });
  }
  return data?.next_cursor ?? null;
}
