// A post with its comments.

import { del, get, post } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/html.js";
import { randomId } from "../core/ids.js";
import { useLoading } from "../core/loading.js";
import { sayError } from "../core/messages.js";
import { usePages } from "../core/pages.js";
import { changePost, setPost, usePost } from "../core/posts.js";
import { focusOn, useLocation } from "../core/router.js";
import { useMe } from "../core/session.js";
import { useLike } from "../core/switches.js";
import { count, linked, Time } from "../core/text.js";
import { Avatar, UserLink } from "../components/avatar.js";
import { ActionMenu } from "../components/dialog.js";
import { IconButton } from "../components/icons.js";
import { useTitle } from "../components/layout.js";
import { EndlessList } from "../components/list.js";
import { LoadError } from "../components/load_error.js";
import { PostCard } from "../components/post_card.js";
import { ReportDialog } from "../components/report_dialog.js";
import { NotFound } from "./not_found.js";

const PROCESSING_INTERVAL = 2_000; // milliseconds

export function PostPage({ id }) {
  const known = usePost(id);
  const me = useMe();
  const { error, isLoading, retry } = useLoading(
    (signal) => get(`/posts/${encodeURIComponent(id)}`, { signal }).then(setPost),
    id,
  );
  const isGone = error?.status === 404;
  const isProcessing = known?.media.some(({ url }) => !url);
  useEffect(() => {
    if (!isProcessing || isLoading || isGone) return undefined;
    const timer = setTimeout(retry, PROCESSING_INTERVAL);
    return () => clearTimeout(timer);
  }, [isProcessing, isLoading, isGone]);
  useTitle(known ? `Post by ${known.author.username}` : "");
  if (isGone) return html`<${NotFound} />`;
  if (!known)
    return error
      ? html`<${LoadError} error=${error} retry=${retry} />`
      : html`<p class="loading" role="status">Loading …</p>`;
  return html`<div class="column">
    <h1 class="hidden">Post by ${known.author.username}</h1>
    <${PostCard} id=${id} isWhole isFirst />
    ${me ? html`<${Comments} post=${known} />` : html`<p><a href="/login">Sign in</a> to read the comments.</p>`}
  </div>`;
}

function Comments({ post: of }) {
  const list = usePages(`/posts/${of.id}/comments?limit=50`);
  const [replyTo, setReplyTo] = useState(null);
  const { hash } = useLocation();
  useEffect(() => {
    if (hash === "#comments") focusOn(hash);
  }, [hash]);
  const add = (comment) => {
    list.change((comments) => [...comments, comment]);
    changePost(of.id, ({ comment_count: before }) => ({ comment_count: before + 1 }));
    setReplyTo(null);
  };
  const remove = (comment) => {
    list.change((comments) => comments.filter(({ id }) => id !== comment.id));
    changePost(of.id, ({ comment_count: before }) => ({ comment_count: Math.max(0, before - 1) }));
  };
  return html`<section class="comments" id="comments" tabindex="-1" aria-label="Comments">
      <${EndlessList}
        list=${list}
        label="Comments"
        render=${(comment) =>
          html`<${Comment} comment=${comment} post=${of} onReply=${setReplyTo} onRemove=${remove} />`}
        empty=${html`<p class="quiet">No comments yet.</p>`}
      />
    </section>
    <${CommentForm} post=${of} replyTo=${replyTo} onCancel=${() => setReplyTo(null)} onSent=${add} />`;
}

function Comment({ comment, post: of, onReply, onRemove }) {
  const me = useMe();
  const [open, setOpen] = useState(null);
  // In place, because going back shows the same list.
  const onAnswer = (answer) => Object.assign(comment, answer);
  const [liked, likeCount, setLiked] = useLike(`/comments/${comment.id}/like`, comment, { onAnswer });
  const remove = async () => {
    try {
      await del(`/comments/${comment.id}`);
      onRemove(comment);
    } catch (error) {
      sayError(error);
    }
  };
  const isOwn = comment.author.id === me.id;
  const actions = [
    (isOwn || of.author.id === me.id) && { label: "Delete", run: remove, isDanger: true },
    !isOwn && { label: "Report", run: () => setOpen("report"), isDanger: true },
  ];
  return html`<article class="comment" data-reply=${Boolean(comment.reply_to)} aria-label=${`Comment by ${comment.author.username}`}>
    <${Avatar} user=${comment.author} size="small" />
    <div class="body">
      <p dir="auto"><${UserLink} user=${comment.author} /> ${linked(comment.text, comment)}</p>
      <div class="meta quiet">
        <${Time} at=${comment.created_at} />
        ${likeCount > 0 && html`<span>${count(likeCount, "like")}</span>`}
        <button type="button" class="link quiet" onClick=${() => onReply(comment)}>Reply</button>
      </div>
    </div>
    <${IconButton}
      name="heart"
      label=${liked ? "Unlike the comment" : "Like the comment"}
      pressed=${liked}
      filled=${liked}
      class="like"
      onClick=${() => setLiked()}
    />
    <${IconButton} name="more" label="More" onClick=${() => setOpen("menu")} />
    ${open === "menu" && html`<${ActionMenu} title="Comment" actions=${actions} onClose=${() => setOpen(null)} />`}
    ${open === "report" &&
    html`<${ReportDialog} targetType="comment" targetId=${comment.id} onClose=${() => setOpen(null)} />`}
  </article>`;
}

function CommentForm({ post: of, replyTo, onCancel, onSent }) {
  const input = useRef(null);
  const attempt = useRef(null); // {text, key}: a text that is sent again after a failure is stored once
  const [isSending, setIsSending] = useState(false);
  useEffect(() => {
    if (!replyTo) return;
    input.current.value ||= `@${replyTo.author.username} `;
    input.current.focus();
  }, [replyTo]);
  const submit = async (event) => {
    event.preventDefault();
    const text = input.current.value.trim();
    if (!text || isSending) return;
    const body = { text, reply_to: replyTo?.id ?? null };
    const content = JSON.stringify(body);
    if (attempt.current?.content !== content) attempt.current = { content, key: randomId() };
    setIsSending(true);
    try {
      onSent(await post(`/posts/${of.id}/comments`, body, { idempotencyKey: attempt.current.key }));
      input.current.value = "";
      attempt.current = null;
    } catch (error) {
      sayError(error);
    } finally {
      setIsSending(false);
    }
  };
  return html`<form class="comment-form" onSubmit=${submit}>
    <div class="field">
      ${replyTo &&
      html`<span class="quiet">
        Reply to ${replyTo.author.username} <button type="button" class="link" onClick=${onCancel}>Cancel</button>
      </span>`}
      <label class="hidden" for="comment">Your comment</label>
      <input id="comment" ref=${input} maxlength="1000" placeholder="Add a comment" autocomplete="off" />
    </div>
    <button type="submit" class="primary" aria-disabled=${isSending}>Send</button>
  </form>`;
}
