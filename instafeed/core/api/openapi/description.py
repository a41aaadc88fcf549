"""The OpenAPI document's introduction and its groups of operations. Plain constants, because settings.py reads them."""

from instafeed.core.api.error_codes import error_code_table

_INTRODUCTION = """
The back end of a photo-sharing network: accounts, follows, posts, and one exact, endless feed.

**Authentication.** `POST /api/v1/auth/register` and `POST /api/v1/auth/token` return an access token and a refresh
token. Send the access token as `Authorization: Bearer …`. When it is rejected with 401, exchange the refresh token
for new tokens. Profiles and posts of public accounts can be read without a token.

**Email addresses.** A link is mailed after registration; an app sends its token to
`POST /api/v1/auth/email/verify`. A site may require a verified address for writes, which are 403 `email_unverified`
without one. Responses never tell whether an address belongs to an account.

**Ids** are decimal strings, because they exceed JavaScript's safe integers. Times are RFC 3339 in UTC.

**Lists** accept `limit` (default 20, maximum 100; larger values count as 100) and `cursor`, and return
`{"results": […], "next": URL or null, "next_cursor": text or null, "previous": null}`. Follow `next`, or repeat the
call with `cursor` set to `next_cursor`, until both are null. Pages neither repeat nor skip items, even if items are
added or removed in between. Cursors are opaque: do not take them apart.

**Errors** have one format: `{"type": …, "errors": [{"code", "detail", "attr"}]}`. `code` is for programs, `detail`
for people, and `attr` names the invalid field, if there is one. The codes are listed at the end of this page. A
resource that you may not see returns the same 404 as one that does not exist. Unknown fields in a request are
ignored; do not send them.

**New values and fields.** Lists of values, such as the kinds of notifications, states and error codes, may grow, and
objects may get more fields. A client must ignore what it does not know.

**Repeated requests.** Following, liking, saving, blocking, muting and their opposites are idempotent. Give requests
that create something an `Idempotency-Key`: repeating the request then returns the first response again.

**Rate limits.** Too many requests return 429 with the seconds to wait in `Retry-After`. Posting, commenting,
following, reporting and editing the profile have limits of their own. `RateLimit-Limit`, `RateLimit-Remaining` and
`RateLimit-Reset` (seconds) describe the limit that is closest to being reached.

**Caching.** Responses are `Cache-Control: private, no-store`: HTTP caches keep nothing, except `GET /instance` for a
minute. Profiles, posts, pictures and the first page of the feed have an `ETag`. An app that keeps such a response
itself sends the tag as `If-None-Match`, and gets 304 without a body while nothing in it has changed. Signed URLs in it
are then as valid as in a new response.

**Request ids.** Each response carries an `X-Request-ID`; include it when you report a problem. To choose the id
yourself, send the header with 1 to 128 letters, digits, dots, dashes and underscores.

**Error codes.** The status is the usual one.
""".strip()
DESCRIPTION = f"{_INTRODUCTION}\n\n{error_code_table()}"

TAGS = [
    {"name": "instance", "description": "The site itself: its name, how to register, and its limits."},
    {"name": "sign-in", "description": "Accounts and sessions: create, exchange and revoke tokens."},
    {"name": "me", "description": "Your own account: profile, follow requests, blocks, mutes, saved posts."},
    {"name": "users", "description": "Profiles and relations between users: following, blocking, muting."},
    {"name": "media", "description": "Pictures: upload them first, then attach them to a post."},
    {"name": "posts", "description": "Posts, likes and saved posts."},
    {"name": "comments", "description": "Comments and replies."},
    {"name": "feed", "description": "Posts of the users that you follow, newest first, without end."},
    {"name": "explore", "description": "Public posts of users that you do not follow yet, and hashtags."},
    {"name": "notifications", "description": "What other users did with your account and posts."},
    {"name": "stream", "description": "Live updates: be told when there is something to read."},
    {"name": "push", "description": "Push messages to browsers (Web Push), where the site has a key for them."},
    {"name": "reports", "description": "Reports to the moderators."},
    {"name": "operations", "description": "Health checks for load balancers and operators."},
]
