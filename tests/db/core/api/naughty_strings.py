"""Naughty strings: control characters, bidirectional text, emoji, injections and other strings that break software."""

from __future__ import annotations

from itertools import chain

_CONTROL = [
    *("tab\there", "line\nfeed", "carriage\rreturn", "both\r\n\r\nSet-Cookie: a=b", "\x01", "\x02\x03", "\x07bell"),
    *("\x08backspace", "\x0bvertical", "\x0cform feed", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x80\x9f"),
    *("\x85next line", "\u2028line separator", "\u2029paragraph", "\x1c\x1d\x1e\x1f", "a\xa0b", "\xad soft hyphen"),
]
_INVISIBLE = [
    *("zero\u200bwidth", "\u200c\u200d", "\u2060word joiner", "\ufeffBOM first", "BOM last\ufeff", "\u180e", "\u3164"),
    *("\u115f\u1160", "\u061c", "\u034f", "\u00ad\u00ad\u00ad", "\ufe0f\ufe0e", "\u2062\u2063\u2064", "\u206a\u206f"),
]
_BIDI = [
    *("\u202eright to left\u202c", "\u202dleft to right\u202c", "\u2066isolate\u2069", "\u200f\u200e", "\u202b\u202a"),
    *("abc\u202etxt.exe", "שלום עולם", "مرحبا بالعالم", "ܫܠܡܐ", "ٱلسَّلَامُ عَلَيْكُم", "\u2067\u2067\u2067 never closed"),
]
_SCRIPTS = [
    *(
        "日本語のキャプション",
        "한국어",
        "ภาษาไทยไม่มีช่องว่าง",
        "हिन्दी क्षि",
        "ქართული",
        "ᚠᛇᚻ",
        "𓀀𓂀",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
        "ﬃ ligature",
    ),
    *("İstanbul ı", "ß ẞ", "ﷺ ﷽", "Ω Ω", "K K", "Å Å Å", "ñ ñ", "ǅ titlecase", "１２３ fullwidth", "①②③", "½⅓", "٣٤٥"),
]
_COMBINING = [
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    *("a" + "\u0301" * 50, "\u0301 begins with a mark", "กํํํํํํํ", "\u0488a", "े", "e\u0301 and é"),
]
_EMOJI = [
    *("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏿", "🇩🇪🇫", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "1️⃣#️⃣", "❤️‍🔥"),
    *("🧑🏻‍🤝‍🧑🏿", "👨‍👩‍👧‍👦" * 8, "\u200d🚀\u200d", "🫠🪿", "☠︎☠️", "🇦🇨" * 10, "👁️‍🗨️"),
]
_ODD_CODE_POINTS = [
    *("\ufffe", "\uffff", "\U0001ffff", "\U0010ffff", "\ufdd0", "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd"),
    *("\U0001f9ff", "\ufffd", "\U000e0001", "\ufff9\ufffa\ufffb", "\u2065", "\u0378"),
]
_INJECTIONS = [
    *(
        "'; DROP TABLE posts; --",
        '" OR 1=1 --',
        "%s %d %(x)s",
        "{0} {x.__class__}",
        "{{ 7*7 }}",
        "{% load x %}",
        "${7*7}",
    ),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</textarea><svg/onload=alert(1)>", "&lt;&amp;&#0;"),
    *("javascript:alert(1)", "<!-- --><![CDATA[ ]]>", "<?xml version='1.0'?><!ENTITY x SYSTEM 'file:///etc/passwd'>"),
    *("$(touch /tmp/x)", "`id`", "| cat", "../../etc/passwd", "\\..\\..\\windows", "file:///dev/zero", "%00", "%0d%0a"),
    *(
        "\\u0000",
        "\\",
        "\\\\",
        "\\n",
        "'",
        '"',
        "`",
        "''''''",
        '""""""',
        "\\'",
        "a'b\"c`d",
        "/*",
        "--",
        "#",
        "@",
        "#@#@",
    ),
    *(
        "(&(uid=*))",
        "*)(uid=*))(|(uid=*",
        "=1+1",
        "@SUM(1)",
        "+1",
        "-1",
        "|",
        "EVAL 'return 1' 0",
        "FLUSHALL\r\n",
        "*1\r\n$4\r\nPING",
    ),
    *(
        "(?:a+)+$",
        "a" * 30 + "!",
        "[[[[[[",
        "((((((",
        "^$.*+?()[]{}|\\",
        "%%%%",
        "%n%n%n",
        "{",
        "}",
        "{}",
        "\\x00",
        "0x0",
    ),
    *(
        "null",
        "undefined",
        "None",
        "true",
        "NaN",
        "Infinity",
        "-0",
        "1e999",
        "0",
        "1/0",
        "nil",
        "[]",
        "[object Object]",
    ),
    *(
        "#" + "x" * 50,
        "@" + "y" * 50,
        "#a#b#c#d@e@f",
        "http://[::1]:99999/",
        "https://例え.jp/パス?q=#f",
        "mailto:%0aBcc:x",
    ),
]
_LAYOUT = ["x" * 60, "word " * 12, "  leading and trailing  ", "\n\nlines\n\n", "a\u3000b", "."]

NAUGHTY_STRINGS: list[str] = list(
    chain(
        *(_CONTROL, _INVISIBLE, _BIDI, _SCRIPTS, _COMBINING, _EMOJI),
        *(_ODD_CODE_POINTS, _INJECTIONS, _LAYOUT),
    )
)
BLANK_STRINGS = ["", " ", "\n\t", "\u2003\u3000", "\x85"]
UNSTORABLE_STRINGS = ["\0", "a\0b", "\ud800", "\udfff", "\ude00\ud83d", "text\udc80"]
LONG_STRINGS = [
    "x" * 100_000,
    "é" * 100_000,
    "👩‍👩‍👧‍👦" * 20_000,
    "\u0301" * 100_000,
    "\u202e" * 100_000,
    "@" * 100_000,
    "#a" * 50_000,
]
