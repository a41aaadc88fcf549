// What others did. Opening the list marks all as read; the new ones stay marked until the list is loaded again.

import { del, post } from "../core/api.js";
import { html, useEffect } from "../core/html.js";
import { notificationsRead, unread } from "../core/live.js";
import { sayError } from "../core/messages.js";
import { usePages } from "../core/pages.js";
import { useMe } from "../core/session.js";
import { useStore } from "../core/store.js";
import { count, Time } from "../core/text.js";
import { Avatar, UserLink } from "../components/avatar.js";
import { Icon, IconButton } from "../components/icons.js";
import { Heading } from "../components/layout.js";
import { EndlessList } from "../components/list.js";
import { UserRow } from "../components/user_row.js";

const REQUESTS = "follow_request";
const MESSAGES = ["warning", "decision"]; // of moderators
const TABS = [
  ["", "All"],
  ["like", "Likes"],
  ["comment,reply,mention", "Comments"],
  ["follow,follow_accepted", "Followers"],
  [REQUESTS, "Follow requests"],
];

export function Notifications({ query }) {
  const kind = query.get("kind") ?? "";
  return html`<div class="column">
    <${Heading} title="Notifications" />
    <nav class="tabs" aria-label="Kinds of notifications">
      ${TABS.map(
        ([value, label]) => html`<a
          key=${value}
          href=${value ? `/notifications?kind=${value}` : "/notifications"}
          aria-current=${value === kind ? "page" : undefined}
        >
          ${label}
        </a>`,
      )}
    </nav>
    ${kind === REQUESTS ? html`<${FollowRequests} />` : html`<${Entries} key=${kind} kind=${kind} />`}
  </div>`;
}

function Entries({ kind }) {
  const list = usePages(`/notifications?limit=30${kind && `&kind=${encodeURIComponent(kind)}`}`);
  const { notifications } = useStore(unread);
  const newest = list.items[0];
  useEffect(() => {
    // Only the whole list shows all that "up to" marks.
    if (kind || !newest || newest.read) return;
    post("/notifications/read", { up_to: newest.id }).then(notificationsRead).catch(console.warn);
  }, [newest?.id]);
  const remove = ({ id }) => list.change((entries) => entries.filter((entry) => entry.id !== id));
  const showNew = async () => {
    await list.reload();
    window.scrollTo({ top: 0, behavior: "smooth" });
  };
  return html`${!kind &&
    newest?.read &&
    notifications > 0 &&
    html`<button type="button" class="new-posts" onClick=${showNew}>
      <${Icon} name="up" /> ${count(notifications, "new notification")}
    </button>`}
    <${EndlessList}
      list=${list}
      label="Notifications"
      render=${(entry) => html`<${Entry} entry=${entry} onGone=${() => remove(entry)} />`}
      empty=${html`<p>There is nothing here yet.</p>`}
    />`;
}

function Entry({ entry, onGone }) {
  const { id, kind, actors, text, read, created_at: at } = entry;
  const isOwn = actors[0].id === useMe()?.id; // what moderators did names no one else
  const dismiss = async () => {
    onGone();
    await del(`/notifications/${id}`).catch(sayError);
  };
  return html`<article class="notification" data-unread=${!read}>
    ${isOwn
      ? html`<span class="avatar"><${Icon} name="bell" /></span>`
      : html`<a class="avatars" href=${`/@${actors[0].username}`} tabindex="-1" aria-hidden="true">
          <${Avatar} user=${actors[0]} />
          ${actors[1] && html`<${Avatar} user=${actors[1]} size="small" />`}
        </a>`}
    <div class="body">
      <p>
        ${!read && html`<span class="hidden">New: </span>`}
        <${Sentence} entry=${entry} isOwn=${isOwn} />${" "}
        <span class="quiet"><${Time} at=${at} /></span>
      </p>
      ${text && html`<p class=${MESSAGES.includes(kind) ? "message" : "quiet excerpt"} dir="auto">${text}</p>`}
      ${kind === REQUESTS && html`<${Answer} user=${actors[0]} onAnswered=${onGone} />`}
    </div>
    <${IconButton} name="close" label="Dismiss" onClick=${dismiss} />
  </article>`;
}

/** "ada, bob and 3 others liked your post", with links. */
function Sentence({ entry: { kind, actors, actor_count: total, post_id: postId, comment_id: commentId }, isOwn }) {
  const predicate = describe(kind, Boolean(commentId));
  const linked = postId ? html`<a href=${`/p/${postId}`}>${predicate}</a>` : predicate;
  return isOwn ? linked : html`<${Names} actors=${actors} total=${total} /> ${linked}`;
}

function describe(kind, isComment) {
  switch (kind) {
    case "like":
      return isComment ? "liked your comment" : "liked your post";
    case "comment":
      return "commented on your post";
    case "reply":
      return "replied to your comment";
    case "mention":
      return isComment ? "mentioned you in a comment" : "mentioned you in a post";
    case "follow":
      return "follows you now";
    case REQUESTS:
      return "asks to follow you";
    case "follow_accepted":
      return "accepted your request to follow";
    case "media_failed":
      return "A picture of your post could not be processed.";
    case "warning":
      return "The moderators have warned you:";
    case "content_hidden":
      return isComment ? "A moderator hid your comment." : "A moderator hid your post.";
    case "decision":
      return "The moderators have decided:";
    default: // a kind that is newer than this client
      return "did something that concerns you";
  }
}

function Names({ actors, total }) {
  const shown = actors.slice(0, total > 3 ? 2 : 3).map((user) => html`<${UserLink} user=${user} />`);
  const rest = total - shown.length;
  const parts = rest > 0 ? [...shown, count(rest, "other")] : shown;
  return parts.flatMap((part, index) => [index === 0 ? "" : index === parts.length - 1 ? " and " : ", ", part]);
}

function FollowRequests() {
  const list = usePages("/me/follow-requests?limit=50");
  return html`<${EndlessList}
    list=${list}
    label="Follow requests"
    render=${(user) => html`<${UserRow} user=${user}>
      <${Answer} user=${user} onAnswered=${() => list.change((users) => users.filter(({ id }) => id !== user.id))} />
    <//>`}
    empty=${html`<p>No one waits for your answer.</p>`}
  />`;
}

/** Accept or reject a request. One that has gone meanwhile counts as answered. */
function Answer({ user, onAnswered }) {
  const answer = async (verb) => {
    try {
      await post(`/me/follow-requests/${user.username}/${verb}`);
    } catch (error) {
      if (error.status !== 404) return sayError(error);
    }
    onAnswered();
  };
  return html`<div class="answer">
    <button type="button" class="primary" aria-label=${`Accept ${user.username}`} onClick=${() => answer("accept")}>Accept</button>
    <button type="button" aria-label=${`Reject ${user.username}`} onClick=${() => answer("reject")}>Reject</button>
  </div>`;
}
