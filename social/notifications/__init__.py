"""Notifications: who liked, commented, followed or mentioned, aggregated into entries of a user's list.

| module | responsibility |
| --- | --- |
| `outbox` | writes events in the transaction of the change that they report |
| `consumer` | reads the outbox in a worker, batch by batch, and deletes applied events |
| `deliverability` | decides who may be notified of whom (blocks, mutes, suspensions) |
| `preferences` | says which kinds a user wants in the app, and as push messages |
| `aggregation_keys` | names the target of an event: events with the same key and recipient share an entry |
| `aggregation` | merges a batch of events into entries: the likes of one post become one entry |
| `deletion` | removes notifications of deleted posts, comments and users, retracted ones, and old ones |
| `writer_lock` | serializes the consumer, account erasure and the cleanup |
| `selectors`, `read_state` | read a user's list; mark it as read and dismiss entries |

Posts and comments are known by id only. `posts.notifications` decides which of them a recipient may see.
"""

from social.notifications.deletion import delete_for_user, delete_older
from social.notifications.outbox import (
    Event,
    announce,
    consume_on_commit,
    delete_for_comments,
    delete_for_posts,
    retract,
    send_moderator_message,
)

__all__ = [
    "Event",
    "announce",
    "consume_on_commit",
    "delete_for_comments",
    "delete_for_posts",
    "delete_for_user",
    "delete_older",
    "retract",
    "send_moderator_message",
]
