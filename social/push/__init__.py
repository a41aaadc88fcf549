"""Web Push: messages to the browsers that users subscribed, also while the site is not open in them.

| module | responsibility |
| --- | --- |
| `endpoints` | which push services are allowed |
| `subscriptions` | subscribes the browser of a session, and deletes its subscription |
| `outbox` | a row for each message, written when a notification is new or gets a new actor |
| `vapid` | the site's key, by which push services know who sends (RFC 8292) |
| `delivery` | encrypts a message (RFC 8291) and gives it to the push service (RFC 8030) |

`posts.push_messages` sends what is due: only there it is known what a recipient may see.
"""
