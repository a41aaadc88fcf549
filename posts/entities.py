"""Extract hashtags and mentions from a text, by the rules of twitter-text. Pure functions.

The rules are twitter-text's regular expressions and conformance tables (github.com/twitter/twitter-text). No library
on PyPI implements them: twitter-text-parser 3.0.0 finds neither hashtags nor mentions, and its URL pattern backtracks
for minutes on 2,200 characters of "a.a.a.…". Every repetition below is possessive, so the time is linear for any text.
Intended differences from twitter-text:

* the host of a URL needs no known top-level domain: any host after `http://`, two or more letters without a scheme;
* variation selectors and keycaps belong to emoji, not to words: `#1️⃣` is no hashtag, `1️⃣#tag` contains one;
* usernames are those of this site: 3 to 30 characters of `a-z 0-9 . _`. A longer run is no username, and a trailing dot
  ends the sentence;
* a hashtag has at most 100 characters, the maximum that the index can store;
* the first 30 hashtags of a text count.
"""

from __future__ import annotations

import unicodedata

import regex

MAX_HASHTAG_LENGTH = 100  # characters, the size of the column
MAX_HASHTAGS = 30  # of a text; more are plain text
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

# Matching URLs first consumes them, so that `#` and `@` inside a URL are ignored.
_HASHTAG_OR_URL = regex.compile(f"{_URL}|{_HASHTAG}", regex.V1)
_MENTION_OR_URL = regex.compile(f"{_URL}|{_MENTION}", regex.V1)
_FULL_HASHTAG = regex.compile(f"[#＃]?({_NAME})", regex.V1)
_FULL_PREFIX = regex.compile(f"[#＃]?({_WORD}++)", regex.V1)


def extract_hashtags(text: str) -> list[str]:
    """Return the first MAX_HASHTAGS distinct hashtags of a text, without their `#`, in lower case and in order."""
    return [display_hashtag(name) for name in extract_folded_hashtags(text)]


def extract_folded_hashtags(text: str) -> list[str]:
    """Return the hashtags of `extract_hashtags` in the form of the index, which all spellings share."""
    names = (_fold(match["name"]) for match in _HASHTAG_OR_URL.finditer(text) if match["name"])
    distinct = dict.fromkeys(name for name in names if len(name) <= MAX_HASHTAG_LENGTH)
    return list(distinct)[:MAX_HASHTAGS]


def display_hashtag(folded: str) -> str:
    """Return a folded hashtag as it is shown: a Greek sigma at the end of a word is final again."""
    return folded.replace("σ", "Σ").lower()  # lower() looks at the letters around a capital sigma


def extract_mentions(text: str) -> list[str]:
    """Return the distinct usernames that a text mentions, in lower case and in order of first appearance."""
    names = (match["name"].lower() for match in _MENTION_OR_URL.finditer(text) if match["name"])
    return list(dict.fromkeys(name for name in names if len(name) in _USERNAME_LENGTHS))


def parse_hashtag(raw: str) -> str | None:
    """Fold a hashtag, with or without its `#`, to the form of the index. Return None if it is invalid."""
    return _match_name(_FULL_HASHTAG, raw)


def parse_hashtag_prefix(raw: str) -> str | None:
    """Fold the beginning of a hashtag, with or without its `#`. Return None if no hashtag can begin with it."""
    return _match_name(_FULL_PREFIX, raw)


def _match_name(pattern: regex.Pattern[str], raw: str) -> str | None:
    match = pattern.fullmatch(raw)
    name = _fold(match[1]) if match else ""
    return name if 0 < len(name) <= MAX_HASHTAG_LENGTH else None


def _fold(name: str) -> str:
    """Return the one form that all spellings of a hashtag share: lower case, composed characters (NFC), no final sigma.

    The beginning of a word cannot tell whether its last sigma is final.
    """
    return unicodedata.normalize("NFC", name.lower()).replace("ς", "σ")
