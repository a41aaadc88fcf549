// An account: who it is, what the viewer may do with it, and its posts.

import { del, get, post } from "../core/api.js";
import { html, useState } from "../core/html.js";
import { useLoading } from "../core/loading.js";
import { say, sayError } from "../core/messages.js";
import { forgetLists } from "../core/pages.js";
import { usePosts } from "../core/post_lists.js";
import { removePosts } from "../core/posts.js";
import { navigate } from "../core/router.js";
import { useMe } from "../core/session.js";
import { formatNumber, linked } from "../core/text.js";
import { Avatar } from "../components/avatar.js";
import { ActionMenu, Confirmation } from "../components/dialog.js";
import { PostGrid } from "../components/grid.js";
import { Icon, IconButton } from "../components/icons.js";
import { useTitle } from "../components/layout.js";
import { LoadError } from "../components/load_error.js";
import { ReportDialog } from "../components/report_dialog.js";
import { FollowButton } from "../components/user_row.js";
import { NotFound } from "./not_found.js";

export function Profile({ username }) {
  const me = useMe();
  const [user, setUser] = useState(null);
  const { error, retry } = useLoading(async (signal) => {
    const loaded = await get(`/users/${encodeURIComponent(username)}`, { signal });
    setUser(loaded);
    // Another case, or a former name of the account.
    if (loaded.username !== username) navigate(`/@${loaded.username}`, { replace: true });
  }, username);
  useTitle(user ? `${user.display_name || user.username} (@${user.username})` : "");
  if (error?.status === 404) return html`<${NotFound} />`;
  if (error) return html`<${LoadError} error=${error} retry=${retry} />`;
  if (!user) return html`<p class="loading" role="status">Loading …</p>`;
  const isOwn = me?.id === user.id;
  const { relationship } = user;
  const isHidden = relationship?.blocking || (user.is_private && !isOwn && !relationship?.following);
  const change = (changed) =>
    setUser((before) => ({ ...before, relationship: { ...before.relationship, ...changed } }));
  return html`<div class="wide">
    <header class="profile-head">
      <${Avatar} user=${user} size="large" />
      <div>
        <h1>${user.username} ${user.is_private && html`<${Icon} name="lock" /><span class="hidden">Private account</span>`}</h1>
        ${user.display_name && html`<p dir="auto">${user.display_name}</p>`}
        <p class="numbers">
          <span><b>${formatNumber(user.post_count)}</b> posts</span>
          <${NumberLink} user=${user} list="followers" value=${user.follower_count} isLink=${me && !isHidden} />
          <${NumberLink} user=${user} list="following" value=${user.following_count} isLink=${me && !isHidden} />
        </p>
      </div>
      ${(user.bio || user.website) &&
      html`<div class="bio" dir="auto">
        ${user.bio && html`<p>${linked(user.bio)}</p>`}
        ${user.website && html`<p>${linked(user.website)}</p>`}
      </div>`}
      <div class="buttons">
        ${isOwn
          ? html`<a class="button" href="/settings/profile">Edit profile</a>
              <a class="button" href="/saved">Saved</a>
              <a class="icon-button" href="/settings" aria-label="Settings" title="Settings"><${Icon} name="settings" /></a>`
          : html`<${FollowButton} user=${user} onChange=${change} />
              ${me && html`<${UserMenu} user=${user} onChange=${change} />`}`}
      </div>
    </header>
    ${relationship?.blocking && html`<p class="empty">You block this account. Unblock it to see its posts.</p>`}
    ${!relationship?.blocking &&
    (isHidden
      ? html`<p class="empty">This account is private. Its followers see its posts.</p>`
      : html`<${Posts} key=${`${user.username} ${relationship?.following}`} user=${user} isOwn=${isOwn} />`)}
  </div>`;
}

function NumberLink({ user, list, value, isLink }) {
  const content = html`<b>${formatNumber(value)}</b> ${list}`;
  return isLink ? html`<a href=${`/@${user.username}/${list}`}>${content}</a>` : html`<span>${content}</span>`;
}

function Posts({ user, isOwn }) {
  const list = usePosts(`/users/${user.username}/posts?limit=30`);
  const empty = isOwn
    ? html`<h2>Share your first picture</h2>
        <p><a class="button primary" href="/new">New post</a></p>`
    : html`<p>There are no posts yet.</p>`;
  return html`<${PostGrid} list=${list} empty=${empty} />`;
}

function UserMenu({ user, onChange }) {
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const { relationship } = user;
  const act = (call, path, changed, message) => async () => {
    try {
      await call(path);
      onChange(changed);
      say(message);
      forgetLists();
      if (changed.blocking) removePosts((each) => each.author.id === user.id);
    } catch (error) {
      sayError(error);
    }
  };
  const path = `/users/${user.username}`;
  const block = act(
    post,
    `${path}/block`,
    { blocking: true, following: false, requested: false, followed_by: false },
    `${user.username} is blocked.`,
  );
  const actions = [
    relationship.muting
      ? { label: "Unmute", run: act(del, `${path}/mute`, { muting: false }, `${user.username} is in your feed again.`) }
      : { label: "Mute", run: act(post, `${path}/mute`, { muting: true }, `${user.username} is no longer in your feed.`) },
    relationship.followed_by && {
      label: "Remove this follower",
      run: act(del, `/me/followers/${user.username}`, { followed_by: false }, `${user.username} no longer follows you.`),
    },
    relationship.blocking
      ? { label: "Unblock", run: act(del, `${path}/block`, { blocking: false }, `${user.username} is no longer blocked.`) }
      : { label: "Block", run: () => setOpen("block"), isDanger: true },
    { label: "Report", run: () => setOpen("report"), isDanger: true },
  ];
  return html`<${IconButton} name="more" label="More" onClick=${() => setOpen("menu")} />
    ${open === "menu" && html`<${ActionMenu} title=${user.username} actions=${actions} onClose=${close} />`}
    ${open === "report" && html`<${ReportDialog} targetType="user" targetId=${user.id} onClose=${close} />`}
    ${open === "block" &&
    html`<${Confirmation}
      title=${`Block ${user.username}?`}
      text="You will no longer see each other. Neither follows the other any more, and they are not told."
      label="Block"
      onConfirm=${block}
      onClose=${close}
    />`}`;
}
