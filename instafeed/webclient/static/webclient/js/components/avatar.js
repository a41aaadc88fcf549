import { html } from "../core/html.js";

/** The picture of an account, or its first letter. It is decoration: the name stands beside it. */
export function Avatar({ user, size = "normal" }) {
  const letter = [...(user.display_name || user.username)][0]?.toUpperCase();
  const color = Number(BigInt(user.id) % 6n);
  return html`<span class="avatar" data-size=${size} data-color=${color} aria-hidden="true">
    ${user.avatar_url ? html`<img src=${user.avatar_url} alt="" loading="lazy" decoding="async" />` : letter}
  </span>`;
}

/** The name of an account with a link to its profile. */
export function UserLink({ user }) {
  return html`<a class="user-link" href=${`/@${user.username}`}>${user.username}</a>`;
}
