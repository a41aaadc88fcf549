"""A user's notifications as JSON. This lives in posts, because it needs the visibility of posts and comments.

An entry is shown while its recipient can see one of its actors (`social.notifications.selectors`) and its post, and
its comment is neither deleted nor hidden. Every read checks this. A moderator's warning is always shown. That a
moderator hid the recipient's own post or comment is shown while it is hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from accounts.user_cache import get_user_summaries
from instafeed.core import compact_json
from instafeed.core.api.formats import optional_id, rfc3339
from posts.models import Comment, Post
from posts.visibility import get_visible_post_ids
from social.notifications import selectors
from social.notifications.selectors import MAX_SHOWN_ACTORS, Entry, EntryReader, Selection

MAX_UNREAD_COUNT = 1_000  # counting stops there
UNREAD_BATCH_SIZE = 500  # entries read at once
MAX_UNREAD_BATCHES = 4  # enough to count MAX_UNREAD_COUNT entries although as many are invisible


@dataclass
class NotificationList:
    """One user's notifications, for `fetch_filtered_page`. Keeps the entries that `fetch` reads for `render`."""

    user_id: int
    kinds: Sequence[str] | None = None  # None: all
    _reader: EntryReader = field(init=False)
    _fetched: dict[int, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = EntryReader(self.user_id, Selection(kinds=self.kinds))

    def fetch(self, before: int | None, limit: int) -> tuple[list[int], bool]:
        """Return the next ids below `before`, at most `limit`, newest first, and whether the list ends there.

        There are fewer, or none, when the budget of `EntryReader` is used up: the page is short then.
        """
        batch = self._reader.read(before, limit)
        self._fetched = {entry.position: entry for entry in batch.entries}
        return batch.positions, batch.is_last

    def render(self, ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return id and JSON of the visible entries, in a fixed number of queries."""
        return _render_entries(
            _filter_visible(self.user_id, [self._fetched[id_] for id_ in ids if id_ in self._fetched])
        )


def iterate_visible(user_id: int, batch_size: int, *, dismissed: bool) -> Iterator[Entry]:
    """Yield all entries that the user can see, newest first, in the form in which the list shows them.

    With `dismissed`, those that the user has dismissed instead.
    """
    before = None
    while True:
        batch = EntryReader(user_id, Selection(dismissed=dismissed)).read(before, batch_size)
        for entry, _ in _filter_visible(user_id, batch.entries):
            yield entry
        if batch.is_last:
            return
        before = batch.positions[-1]


@dataclass(frozen=True, slots=True)
class Unread:
    """What a user has not read: how many entries, at most MAX_UNREAD_COUNT, and the position of the newest actor."""

    count: int
    newest: int


def count_unread(user_id: int) -> int:
    """Return the number of visible unread entries, at most MAX_UNREAD_COUNT; see `list_unread`."""
    return len(list_unread(user_id))


def read_unread(user_id: int) -> Unread:
    """Return how many entries are unread, and the position of the newest actor of them; see `list_unread`."""
    unread = list_unread(user_id)
    return Unread(len(unread), max((entry.actors[0].position for entry in unread), default=0))


def list_unread(user_id: int) -> list[Entry]:
    """Return the visible unread entries, newest first, at most MAX_UNREAD_COUNT.

    Reads the newest `MAX_UNREAD_BATCHES * UNREAD_BATCH_SIZE` unread entries, fewer when the budget of `EntryReader` is
    used up. The result is incomplete if visible entries come after that many.
    """
    reader = EntryReader(user_id, Selection(unread=True))
    unread: list[Entry] = []
    before = None
    for _ in range(MAX_UNREAD_BATCHES):
        batch = reader.read(before, UNREAD_BATCH_SIZE)
        visible = _filter_visible(user_id, [entry for entry in batch.entries if not entry.read])
        unread += [entry for entry, _ in visible]
        if batch.is_last or not batch.positions or len(unread) >= MAX_UNREAD_COUNT:
            break
        before = batch.positions[-1]
    return unread[:MAX_UNREAD_COUNT]


def _filter_visible(user_id: int, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Return the entries whose post and comment the user can see, each with its text."""
    hidden = [entry for entry in entries if entry.kind == "content_hidden"]
    others = [entry for entry in entries if entry.kind != "content_hidden" and entry.message_id is None]
    texts = _load_texts(user_id, others) | _load_hidden_texts(user_id, hidden)
    messages = selectors.fetch_message_texts([entry.message_id for entry in entries if entry.message_id is not None])
    texts |= {entry.position: messages[entry.message_id] for entry in entries if entry.message_id in messages}
    return [(entry, texts[entry.position]) for entry in entries if entry.position in texts]


def _load_texts(user_id: int, found: Sequence[Entry]) -> dict[int, str]:
    """Return the texts, by position, of the entries whose post and comment the user can see."""
    posts = get_visible_post_ids(user_id, {entry.post_id for entry in found if entry.post_id is not None})
    visible = [entry for entry in found if entry.post_id is None or entry.post_id in posts]
    comments = _load_comment_texts(entry.comment_id for entry in visible if entry.comment_id is not None)
    captions = _load_captions(entry.post_id or 0 for entry in visible if _is_caption_mention(entry))
    return {
        entry.position: _select_text(entry, comments, captions)
        for entry in visible
        if entry.comment_id is None or entry.comment_id in comments
    }


def _load_hidden_texts(user_id: int, found: Sequence[Entry]) -> dict[int, str]:
    """Return the texts, by position, of the entries whose post or comment is the user's and still hidden."""
    if not found:
        return {}
    hidden = {"author": user_id, "hidden_at__isnull": False}
    posts = Post.objects.using(DEFAULT_DB_ALIAS).filter(**hidden, deleted_at=None)
    posts = posts.filter(pk__in=[entry.post_id for entry in found if entry.comment_id is None])
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(**hidden, post__deleted_at=None)
    comments = comments.filter(pk__in=[entry.comment_id for entry in found if entry.comment_id is not None])
    texts = dict(posts.values_list("pk", "caption")) | dict(comments.values_list("pk", "text"))  # ids are distinct
    subjects = {entry.position: entry.comment_id or entry.post_id or 0 for entry in found}
    return {position: texts[subject] for position, subject in subjects.items() if subject in texts}


def _select_text(entry: Entry, comments: dict[int, str], captions: dict[int, str]) -> str:
    if entry.kind == "like":
        return ""
    if entry.comment_id is not None:
        return comments[entry.comment_id]
    return captions.get(entry.post_id or 0, "")


def _is_caption_mention(entry: Entry) -> bool:
    return entry.kind == "mention" and entry.comment_id is None


def _load_comment_texts(ids: Iterable[int]) -> dict[int, str]:
    """Return the texts of the comments that are neither deleted nor hidden."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=list(ids), hidden_at=None)
    return dict(comments.values_list("pk", "text"))


def _load_captions(post_ids: Iterable[int]) -> dict[int, str]:
    return dict(Post.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=list(post_ids)).values_list("pk", "caption"))


def _render_entries(visible: Sequence[tuple[Entry, str]]) -> list[tuple[int, bytes]]:
    summaries = get_user_summaries(
        {actor_id for entry, _ in visible for actor_id in entry.actor_ids[:MAX_SHOWN_ACTORS]}
    )
    rows = []
    for entry, text in visible:
        actors = [summaries[actor_id] for actor_id in entry.actor_ids[:MAX_SHOWN_ACTORS] if actor_id in summaries]
        if actors:  # skip an entry if all shown actors were deactivated since the query
            rows.append((entry.position, _render_entry(entry, text, actors)))
    return rows


def _render_entry(entry: Entry, text: str, actors: Sequence[bytes]) -> bytes:
    fields: dict[str, Any] = {
        "id": str(entry.position),
        "kind": entry.kind,
        "actor_count": entry.actor_count,
        "post_id": optional_id(entry.post_id),
        "comment_id": optional_id(entry.comment_id),
        "text": text,
        "created_at": rfc3339(entry.created_at),
        "read": entry.read,
    }
    body = compact_json.encode(fields)
    return b'%b,"actors":[%b]}' % (body[:-1], b",".join(actors))
