// A post in the feed and on its own page.

import { del, patch } from "../core/api.js";
import { html, useRef, useState } from "../core/html.js";
import { say, sayError } from "../core/messages.js";
import { removePosts, setPost, usePost, usePostLike, usePostSave } from "../core/posts.js";
import { navigate } from "../core/router.js";
import { useMe } from "../core/session.js";
import { count, linked, Time } from "../core/text.js";
import { Avatar, UserLink } from "./avatar.js";
import { Carousel } from "./carousel.js";
import { ActionMenu, Confirmation, Dialog } from "./dialog.js";
import { Field, FormError, SubmitButton, useForm } from "./form.js";
import { IconButton } from "./icons.js";
import { ReportDialog } from "./report_dialog.js";

const LONG_CAPTION = 160; // characters; longer ones are cut in lists
const DOUBLE_TAP = 350; // milliseconds

/** `isWhole` shows the whole caption: on the post's own page. */
export function PostCard({ id, isWhole = false, isFirst = false }) {
  const post = usePost(id);
  if (!post) return null;
  return html`<article class="post" aria-label=${`Post by ${post.author.username}`}>
    <header>
      <a href=${`/@${post.author.username}`} tabindex="-1" aria-hidden="true"><${Avatar} user=${post.author} /></a>
      <div class="names">
        <${UserLink} user=${post.author} />
        <a class="quiet" href=${`/p/${id}`}><${Time} at=${post.created_at} />${post.edited_at ? " · edited" : ""}</a>
      </div>
      <${PostMenu} post=${post} />
    </header>
    ${post.media.length > 0 && html`<${Pictures} post=${post} isLazy=${!isFirst} />`}
    <${Actions} post=${post} />
    ${post.caption && html`<${Caption} post=${post} isWhole=${isWhole} />`}
  </article>`;
}

function Pictures({ post, isLazy }) {
  const lastTap = useRef(0);
  const [heart, setHeart] = useState(0);
  const [, , setLiked] = usePostLike(post);
  const me = useMe();
  const onClick = (event) => {
    if (event.target.closest("button")) return;
    const now = event.timeStamp;
    const isDouble = now - lastTap.current < DOUBLE_TAP;
    lastTap.current = isDouble ? 0 : now;
    if (!isDouble || !me) return;
    setHeart((number) => number + 1);
    setLiked(true);
  };
  return html`<div class="pictures" onClick=${onClick}>
    <${Carousel} media=${post.media} isLazy=${isLazy} />
    ${heart > 0 && html`<span class="big-heart" key=${heart} aria-hidden="true">♥</span>`}
  </div>`;
}

function Actions({ post }) {
  const me = useMe();
  const [liked, likeCount, setLiked] = usePostLike(post);
  const [saved, setSaved] = usePostSave(post);
  const act = (set) => () => (me ? set() : navigate("/login"));
  return html`<div class="actions">
    <${IconButton}
      name="heart"
      label=${liked ? "Unlike" : "Like"}
      pressed=${liked}
      filled=${liked}
      class="like"
      onClick=${act(setLiked)}
    />
    <a class="count" href=${`/p/${post.id}`} aria-label=${count(likeCount, "like")}>${count(likeCount, "like")}</a>
    <a class="icon-button" href=${`/p/${post.id}#comments`} aria-label="Comments" title="Comments">
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M4 4h16v12h-9l-5 4v-4H4z" /></svg>
    </a>
    <a class="count" href=${`/p/${post.id}#comments`}>${count(post.comment_count, "comment")}</a>
    <${IconButton}
      name="bookmark"
      label=${saved ? "Remove from saved posts" : "Save"}
      pressed=${saved}
      filled=${saved}
      class="save"
      onClick=${act(setSaved)}
    />
  </div>`;
}

function Caption({ post, isWhole }) {
  const [isOpen, setIsOpen] = useState(isWhole);
  const isCut = !isOpen && post.caption.length > LONG_CAPTION;
  const text = isCut ? `${post.caption.slice(0, LONG_CAPTION).trimEnd()} …` : post.caption;
  return html`<div class="caption">
    <p dir="auto">${linked(text, post)}</p>
    ${isCut && html`<button type="button" class="link quiet" onClick=${() => setIsOpen(true)}>more</button>`}
  </div>`;
}

function PostMenu({ post }) {
  const me = useMe();
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const isOwn = me?.id === post.author.id;
  const remove = async () => {
    try {
      await del(`/posts/${post.id}`);
      removePosts((each) => each.id === post.id);
      say("The post is deleted.");
      if (location.pathname === `/p/${post.id}`) navigate("/");
    } catch (error) {
      sayError(error);
    }
  };
  const share = async () => {
    const url = new URL(post.url || `/p/${post.id}`, location.origin).href;
    if (navigator.share) return navigator.share({ url }).catch(() => {});
    await navigator.clipboard.writeText(url);
    say("The link is copied.");
  };
  const actions = [
    { label: "Share", run: share },
    isOwn && { label: "Edit caption", run: () => setOpen("edit") },
    isOwn && { label: "Delete", run: () => setOpen("delete"), isDanger: true },
    me && !isOwn && { label: "Report", run: () => setOpen("report"), isDanger: true },
  ];
  return html`<${IconButton} name="more" label="More" onClick=${() => setOpen("menu")} />
    ${open === "menu" && html`<${ActionMenu} title="Post" actions=${actions} onClose=${close} />`}
    ${open === "edit" && html`<${CaptionDialog} post=${post} onClose=${close} />`}
    ${open === "report" &&
    html`<${ReportDialog} targetType="post" targetId=${post.id} onClose=${close} />`}
    ${open === "delete" &&
    html`<${Confirmation}
      title="Delete this post?"
      text="Its pictures, likes and comments go with it. This cannot be undone."
      label="Delete"
      onConfirm=${remove}
      onClose=${close}
    />`}`;
}

function CaptionDialog({ post, onClose }) {
  const { error, isSending, submit } = useForm(async ({ caption }) => {
    setPost(await patch(`/posts/${post.id}`, { caption }));
    onClose();
  });
  return html`<${Dialog} title="Edit caption" onClose=${onClose}>
    <form onSubmit=${submit}>
      <${Field} label="Caption" name="caption" rows="6" defaultValue=${post.caption} error=${error} />
      <${FormError} error=${error} fields=${["caption"]} />
      <${SubmitButton} isSending=${isSending}>Save<//>
    </form>
  <//>`;
}

