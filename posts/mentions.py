"""Find the accounts that a text mentions, and notify those that a caption mentions.

`PostMention` records whom a post notified, by the name in the caption. So an edit that removes a mention retracts its
notification, although the account may have been renamed or suspended since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from accounts.former_usernames import find_active_user_ids
from posts import entities
from posts.models import Post, PostMention
from social import notifications
from social.notifications import Event

MAX_NOTIFIED_MENTIONS = 20  # per text; more mentions are spam and notify no one


def get_mentioned_users(content: str) -> dict[str, int]:
    """Return the ids, by name, of the active accounts among the first MAX_NOTIFIED_MENTIONS mentions.

    The name may be a former one that is still reserved to the account.
    """
    return find_active_user_ids(entities.extract_mentions(content)[:MAX_NOTIFIED_MENTIONS])


def announce_caption_mentions(post: Post) -> None:
    """Notify the accounts that the caption of a new post mentions."""
    _notify(post, get_mentioned_users(post.caption))


def update_caption_mentions(post: Post) -> None:
    """Notify the accounts that the caption newly mentions, and retract the notifications of removed mentions.

    While media are pending, no one is notified. Call it inside a transaction that has locked the post.
    """
    if post.media_pending:
        return
    names = entities.extract_mentions(post.caption)
    notified = dict(PostMention.objects.filter(post=post).values_list("name", "user_id"))
    kept = {name: user_id for name, user_id in notified.items() if name in names}
    removed = notified.keys() - kept.keys()
    if removed:
        PostMention.objects.filter(post=post, name__in=removed).delete()
        gone = {notified[name] for name in removed} - set(kept.values())
        notifications.retract(*_build_events(post, gone))
    room = MAX_NOTIFIED_MENTIONS - len(kept)
    new = find_active_user_ids([name for name in names if name not in kept][: max(room, 0)])
    _notify(post, new, already=kept.values())


def _notify(post: Post, mentioned: Mapping[str, int], already: Collection[int] = ()) -> None:
    if mentioned:
        PostMention.objects.bulk_create(
            PostMention(post=post, name=name, user_id=user_id) for name, user_id in mentioned.items()
        )
        notifications.announce(*_build_events(post, set(mentioned.values()) - set(already)))


def _build_events(post: Post, user_ids: Iterable[int]) -> list[Event]:
    return [Event("mention", user_id, post.author_id, post.pk) for user_id in user_ids]
