"""Every error code of the API with its usual status and its meaning.

The OpenAPI document and docs/errors.md list them. `tests/unit/core/api/test_error_codes.py` compares them with the
code. Plain constants, because settings.py reads them.
"""

from __future__ import annotations

from typing import NamedTuple


class ErrorCode(NamedTuple):
    status: int
    meaning: str


_VALUES = {
    "address_in_use": "Another account has verified this email address.",
    "always_in_app": "What the moderators did cannot be turned off in the app.",
    "blank": "The text is empty or only white space.",
    "captcha_invalid": "The solution of the captcha is wrong or expired, or was used before. Solve a new one.",
    "captcha_required": "Solve the captcha of `GET /auth/captcha`, and send the solution as `captcha`.",
    "duplicate": "The list contains a value twice.",
    "email_domain_blocked": "The site does not accept addresses of this domain.",
    "empty": "The file or list is empty.",
    "invalid": "The value has the wrong type or form.",
    "invalid_choice": "The value is not one of the allowed ones.",
    "invalid_cursor": "The cursor is not one of this list, or has expired. Start again with the first page.",
    "invalid_image": "The file is not a picture of a kind that is accepted, or it is broken.",
    "invalid_token": "The link is invalid or has expired, or was used before. Request a new one.",
    "max_length": "The text or list is too long.",
    "max_string_length": "The number has too many digits.",
    "max_value": "The number is too large.",
    "min_length": "The text or list is too short.",
    "min_value": "The number is too small.",
    "no_name": "The uploaded file has no name.",
    "not_a_list": "A list is expected.",
    "null": "The field must not be null.",
    "null_characters_not_allowed": "The text contains a NUL character.",
    "own_account": "You cannot do this with your own account.",
    "password_entirely_numeric": "The new password consists of digits only.",
    "password_too_common": "The new password is a common one.",
    "password_too_short": "The new password is too short.",
    "password_too_similar": "The new password is similar to the username or email address.",
    "push_service_not_allowed": "The site sends no messages to this push service.",
    "required": "The field is missing.",
    "reserved": "The username is reserved.",
    "surrogate_characters_not_allowed": "The text is not valid Unicode.",
    "unique": "The username is taken.",
    "rename_limit": "You changed the username twice in 14 days. Try again later, or take a former one back.",
    "wrong_code": "The code of the second factor is wrong or was used before.",
    "wrong_password": "This is not the current password.",
}
_OTHERS = {
    "approval_pending": (403, "The password is right. A moderator has not approved the account yet."),
    "authentication_failed": (401, "The access token is not accepted. Sign in again."),
    "bad_request": (400, "The request is malformed, or a server in front of the API refused it."),
    "blocking": (409, "You block this account: unblock it first."),
    "conflict": (409, "Another request changed the same thing at the same time. Read it again, then repeat."),
    "email_unverified": (403, "The site requires a verified email address for this. Verify yours first."),
    "error": (500, "The service has failed. The failure has been recorded; try again later."),
    "following_limit": (409, "You follow too many accounts: unfollow some first."),
    "idempotency_key_reused": (422, "This `Idempotency-Key` was used for a request with another body."),
    "invite_required": (403, "Registering needs a valid invite."),
    "media_used": (409, "The picture is part of a post, has failed, or was never uploaded."),
    "method_not_allowed": (405, "The path exists, but not with this method."),
    "misdirected_request": (421, "This server holds no streams. Use the `stream_url` of `GET /instance`."),
    "not_acceptable": (406, "The `Accept` header excludes JSON."),
    "not_authenticated": (401, "This needs an access token."),
    "not_found": (404, "It does not exist, or you may not see it."),
    "not_uploaded": (409, "Nothing has been uploaded yet: send the file first."),
    "otp_required": (401, "The password is right. The account has a second factor: send a code as `otp` too."),
    "parse_error": (400, "The body cannot be read: it is not JSON, or not the form that was announced."),
    "permission_denied": (403, "You may see this, but not do that with it."),
    "registration_closed": (403, "The site accepts no registrations."),
    "registration_refused": (403, "The site accepts no registrations from this network."),
    "request_too_large": (413, "The body is too large."),
    "service_unavailable": (503, "A part of the service is down or busy. Wait for `Retry-After`, then repeat."),
    "staff_account": (403, "An administrator deletes staff accounts and sets up their second factor."),
    "throttled": (429, "Too many requests. Wait for `Retry-After`, then repeat."),
    "token_not_valid": (401, "The token is invalid or expired, or its session has ended."),
    "too_young": (403, "The user is younger than the site allows."),
    "totp_disabled": (409, "The second factor is not on."),
    "totp_enabled": (409, "The second factor is already on: turn it off first."),
    "totp_not_begun": (409, "Begin to set up the second factor first."),
    "unsupported_media_type": (415, "The call does not accept this `Content-Type`."),
    "user_inactive": (401, "The account is suspended or deleted."),
    "wrong_credentials": (401, "No account has this username or address, and this password."),
    "wrong_origin": (403, "Only pages of this site may use its cookie: the request needs the site's `Origin`."),
    "wrong_otp": (401, "The password is right. The code is wrong or was used before."),
}
ERROR_CODES: dict[str, ErrorCode] = dict(
    sorted(
        {
            **{code: ErrorCode(400, meaning) for code, meaning in _VALUES.items()},
            **{code: ErrorCode(*entry) for code, entry in _OTHERS.items()},
        }.items()
    )
)


def error_code_table() -> str:
    """Return the codes as a Markdown table, ordered by code."""
    rows = [f"| `{code}` | {entry.status} | {entry.meaning} |" for code, entry in ERROR_CODES.items()]
    return "\n".join(["| code | status | meaning |", "| --- | --- | --- |", *rows])
