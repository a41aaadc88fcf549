// An account in a list, with the button to follow it.

import { html } from "../core/html.js";
import { navigate } from "../core/router.js";
import { useMe } from "../core/session.js";
import { useSwitch } from "../core/switches.js";
import { Avatar } from "./avatar.js";

/** `user` has `relationship`; `children` stands in place of the follow button. */
export function UserRow({ user, children }) {
  return html`<div class="person">
    <a href=${`/@${user.username}`} tabindex="-1" aria-hidden="true"><${Avatar} user=${user} /></a>
    <a class="names" href=${`/@${user.username}`}>
      <span class="user-link">${user.username}</span>
      ${user.display_name && html`<span class="quiet" dir="auto">${user.display_name}</span>`}
    </a>
    ${children ?? html`<${FollowButton} user=${user} />`}
  </div>`;
}

/** Follow, ask to follow, or take it back. `onChange(changes)` gets what has changed in the relationship. */
export function FollowButton({ user, onChange = (changes) => Object.assign(user.relationship, changes) }) {
  const me = useMe();
  const { relationship } = user;
  const isOn = Boolean(relationship?.following || relationship?.requested);
  const [isWanted, setWanted] = useSwitch(`/users/${user.username}/follow`, isOn, {
    onAnswer: (answer) => onChange(answer?.relationship ?? relationshipAfter(answer)),
    source: `/users/${user.username}`,
  });
  if (user.id === me?.id) return null;
  if (!relationship) return html`<button type="button" class="primary" onClick=${() => navigate("/login")}>Follow</button>`;
  if (relationship.blocking) return null;
  // Until the answer says whether the account must accept.
  const isRequested = isOn ? relationship.requested : user.is_private;
  const off = relationship.followed_by ? "Follow back" : "Follow";
  const label = isWanted ? (isRequested ? "Requested" : "Following") : off;
  return html`<button
    type="button"
    class=${isWanted ? "" : "primary"}
    aria-pressed=${isWanted}
    aria-label=${`${label}: ${user.username}`}
    onClick=${() => setWanted()}
  >
    ${label}
  </button>`;
}

/** `answer` is {state} after a follow, null after its end. */
const relationshipAfter = (answer) => ({
  following: answer?.state === "following",
  requested: answer?.state === "requested",
});
