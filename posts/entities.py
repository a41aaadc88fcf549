"""Hashtags and mentions in a caption, by the rules of twitter-text; pure functions.

The rules are its regular expressions and conformance tables (github.com/twitter/twitter-text). No library on PyPI
does it: twitter-text-parser 3.0.0 finds neither hashtags nor mentions, and for the URLs in 2,200 characters
of "a.a.a.…" it backtracks for minutes. Here every repetition is possessive, so that the time is linear
whatever the text. What differs from twitter-text, on purpose:

* a URL's host needs no known top-level domain after `http://`, and any two letters or more without it;
* variation selectors and keycaps belong to emoji, not to words: `#1️⃣` is no hashtag, `1️⃣#tag` has one;
* usernames are ours: 3 to 30 of `a-z 0-9 . _`, a longer run is nobody's name, and a dot at the end is the sentence's;
* a hashtag of more than 100 characters is none: nothing could be looked up by it.
"""

from __future__ import annotations

import unicodedata

import regex

MAX_HASHTAG_LENGTH = 100  # characters; what the column holds
_USERNAME_LENGTHS = range(3, 31)  # of a username

_EMOJI_MARKS = r"\uFE0E\uFE0F\u20E3"
_JOINERS = r"_\u200C\u200D\uA67E\u05BE\u05F3\u05F4\uFF5E\u301C\u309B\u309C\u30A0\u30FB\u3003\u0F0B\u0F0C\u00B7"
_LETTER = rf"[[\p{{L}}\p{{M}}]--[{_EMOJI_MARKS}]]"
_WORD = rf"[[\p{{L}}\p{{M}}\p{{Nd}}{_JOINERS}]--[{_EMOJI_MARKS}]]"
_NAME = rf"[\p{{Nd}}{_JOINERS}]*+{_LETTER}{_WORD}*+"
_HASHTAG = rf"(?<!{_WORD}|&)[#＃](?P<name>{_NAME})(?![#＃]|://)"

_ACCENTED = (
    r"\xC0-\xD6\xD8-\xF6\xF8-\xFF\u0100-\u024F\u0253\u0254\u0256\u0257\u0259\u025B\u0263\u0268\u026F\u0272\u0289\u028B"
    r"\u02BB\u0300-\u036F\u1E00-\u1EFF"
)
_AFTER_RT = r"(?<=(?<![a-zA-Z0-9_+~.-])[rR][tT])"
_MENTION = rf"(?:(?<![a-zA-Z0-9_!#$%&*@＠])|{_AFTER_RT})[@＠](?P<name>(?:\.*+[a-zA-Z0-9_]++)++)(?![@＠{_ACCENTED}]|://)"

_LABEL = rf"[a-zA-Z0-9_\-{_ACCENTED}]"
_TOP_LEVEL_DOMAIN = r"(?:[xX][nN]--[a-zA-Z0-9-]++|[a-zA-Z]{2,63}+)"
_PATH = rf"[a-zA-Z0-9\u0400-\u04FF{_ACCENTED}!*';:=+,.$/%#\[\]\-\u2013_~@|\&]"
_QUERY = r"[a-zA-Z0-9!?*'@();:\&=+$/%#\[\]\-_.,~|]"
_WITH_SCHEME = r"(?<![a-zA-Z0-9@＠$#＃])[hH][tT][tT][pP][sS]?://[[^\s\p{P}\p{S}][.:%_~\-]]++"
# Without a scheme only what has a path or a query matters; "Right?#tag" has none.
_WITHOUT_SCHEME = (
    rf"(?<!{_LABEL}|[@＠$#＃./])(?:{_LABEL}++\.)++{_TOP_LEVEL_DOMAIN}(?!{_LABEL})(?::\d++)?(?=/|\?[^\s#＃@＠])"
)
_PARENTHESES = rf"\((?:{_PATH}|\({_PATH}++\))++\)"
_URL = rf"(?:{_WITH_SCHEME}|{_WITHOUT_SCHEME})(?:/(?:{_PATH}|{_PARENTHESES})*+)?(?:\?{_QUERY}*+)?"

# A URL swallows what is inside of it, so that no mark in there is ever looked at.
_HASHTAG_OR_URL = regex.compile(f"{_URL}|{_HASHTAG}", regex.V1)
_MENTION_OR_URL = regex.compile(f"{_URL}|{_MENTION}", regex.V1)
_FULL_HASHTAG = regex.compile(f"[#＃]?({_NAME})", regex.V1)
_FULL_PREFIX = regex.compile(f"[#＃]?({_WORD}++)", regex.V1)


def extract_hashtags(text: str) -> list[str]:
    """The hashtags of a text without their marks, in lower case, each once, in the order they first appear."""
    names = (_normalize(match["name"]) for match in _HASHTAG_OR_URL.finditer(text) if match["name"])
    return list(dict.fromkeys(name for name in names if len(name) <= MAX_HASHTAG_LENGTH))


def extract_mentions(text: str) -> list[str]:
    """The usernames that a text mentions, in lower case, each once, in the order they first appear."""
    names = (match["name"].lower() for match in _MENTION_OR_URL.finditer(text) if match["name"])
    return list(dict.fromkeys(name for name in names if len(name) in _USERNAME_LENGTHS))


def parse_hashtag(raw: str) -> str | None:
    """The hashtag that `raw` is, with or without its mark, as `extract_hashtags` gives it; None for what cannot be one."""
    return _match_name(_FULL_HASHTAG, raw)


def parse_hashtag_prefix(raw: str) -> str | None:
    """What the names of hashtags may begin with, in their form; None for what no hashtag begins with."""
    return _match_name(_FULL_PREFIX, raw)


def _match_name(pattern: regex.Pattern[str], raw: str) -> str | None:
    match = pattern.fullmatch(raw)
    name = _normalize(match[1]) if match else ""
    return name if 0 < len(name) <= MAX_HASHTAG_LENGTH else None


def _normalize(name: str) -> str:
    """One form for all ways to write a hashtag: lower case, composed characters."""
    return unicodedata.normalize("NFC", name.lower())
