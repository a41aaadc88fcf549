"""What the API's description says before its first call: the rules of all calls, and the groups they are in.

Plain constants, as settings.py reads them.
"""

DESCRIPTION = """
The back end of a photo-sharing network: accounts, follows, posts, and one exact, endless feed.

**Signing in.** `POST /api/v1/auth/register` and `POST /api/v1/auth/token` answer an access token and a refresh token.
Send the access token as `Authorization: Bearer …`; when it is refused with 401, exchange the refresh token for new
ones. Profiles and posts of public accounts can be read without a token.

**Ids** are decimal strings: they exceed what JavaScript's numbers hold. Times are RFC 3339 in UTC.

**Lists** take `limit` (20 unless told; more than 100 counts as 100) and `cursor`, and answer
`{"results": […], "next": URL or null, "previous": null}`. Follow `next` until it is null. Pages neither repeat nor
skip anything, whatever arrives or vanishes in between.

**Errors** have one shape: `{"type": …, "errors": [{"code", "detail", "attr"}]}`, where `code` is for programs,
`detail` for people, and `attr` names the field that is meant, if one is. What you may not see does not exist for
you, which is a 404. Fields that a call does not know are ignored; do not send them.

**Sending twice.** Following, liking, saving, blocking, muting and their opposites may be repeated freely. Give a
creation an `Idempotency-Key`, and sending it again gives the first answer again.

**Limits.** Too many requests: 429, with the seconds to wait in `Retry-After`. Each answer carries an `X-Request-ID`;
quote it when you ask about one. Send your own (1 to 128 letters, digits, dots, dashes and underscores) to have it used.
""".strip()

TAGS = [
    {"name": "sign-in", "description": "Accounts and sessions: tokens are given, exchanged and withdrawn."},
    {"name": "me", "description": "The own account: profile, requests, blocks, mutes, saved posts."},
    {"name": "users", "description": "Profiles, and what one is to another: following, blocking, muting."},
    {"name": "media", "description": "Pictures: uploaded first, then attached to a post."},
    {"name": "posts", "description": "Posts, likes and saved posts."},
    {"name": "comments", "description": "Comments and replies."},
    {"name": "feed", "description": "The posts of everyone followed, newest first, without end."},
    {"name": "explore", "description": "Public posts of people one does not follow yet, and hashtags."},
    {"name": "notifications", "description": "What others did with one's account and posts."},
    {"name": "reports", "description": "Telling moderators."},
    {"name": "operations", "description": "For load balancers and operators."},
]
