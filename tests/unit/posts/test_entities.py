"""Extraction of hashtags and mentions, in all scripts and in linear time."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posts.entities import (
    MAX_HASHTAG_LENGTH,
    display_hashtag,
    extract_folded_hashtags,
    extract_hashtags,
    extract_mentions,
    parse_hashtag,
    parse_hashtag_prefix,
)
from tests.unit.linear_time import assert_linear_time

HASHTAGS: list[tuple[str, list[str]]] = [
    # Position
    ("", []),
    ("#", []),
    ("# tag", []),
    ("#sunset", ["sunset"]),
    ("at the end #sunset", ["sunset"]),
    ("a #sunset in the middle", ["sunset"]),
    ("#one two #three\n#four", ["one", "three", "four"]),
    ("#b #a #b #A", ["b", "a"]),
    ("sun#set", []),
    ("7#set", []),
    ("_#set", []),
    ("é#set", []),
    ("日本#東京", []),
    ("сон#тег", []),
    ("ー#タグ", []),
    ("・#タグ", []),
    ("&#nbsp; &#tag", []),
    ("(#one)[#two]{#three}", ["one", "two", "three"]),
    (".#one ,#two :#three ;#four !#five ?#six", ["one", "two", "three", "four", "five", "six"]),
    ("’#one’#two “#three”", ["one", "two", "three"]),
    ("#salt/#pepper and oil/#vinegar", ["salt", "pepper", "vinegar"]),
    ("-#dash +#plus *#star =#equal ~#tilde $#cash", ["dash", "plus", "star", "equal", "tilde", "cash"]),
    ("@bob #tag @bob#tag2", ["tag"]),
    # End
    ("#one, #two. #three! #four? #five: #six;", ["one", "two", "three", "four", "five", "six"]),
    ("#rock-n-roll", ["rock"]),
    ("#don't", ["don"]),
    ("#a/b #c&d", ["a", "c"]),
    ("#one#two", []),
    ("#one＃two", []),
    ("##two", ["two"]),
    ("#tag@bob", ["tag"]),
    ("#one.com", ["one"]),
    ("#http://example.com #https://example.com", []),
    ("#http:/ #http:", ["http"]),
    # Digits and joiners
    ("#1 #2024 #0", []),
    ("#1st #24hours #covid19 #7a7", ["1st", "24hours", "covid19", "7a7"]),
    ("#_ #__ #1_2 #_1", []),
    ("#_a #a_ #a_b_c", ["_a", "a_", "a_b_c"]),
    ("#١٢٣ #१२३ #１２３ #๑๒๓", []),
    ("#il·lusió", ["il·lusió"]),
    ("#½ #² #Ⅷ", []),
    # Case and composition
    ("#Sunset #SUNSET #sunset", ["sunset"]),
    ("#Ünïcode #ÜNÏCODE #ünïcode", ["ünïcode"]),
    (unicodedata.normalize("NFD", "#Ünïcode") + " #ÜNÏCODE", ["ünïcode"]),
    ("#ПРИВЕТ #Привет", ["привет"]),
    ("#ΑΘΉΝΑ #Αθήνα", ["αθήνα"]),
    ("#ՀԱՅ #Հայ", ["հայ"]),
    ("#İstanbul", ["i̇stanbul"]),
    ("#Straße", ["straße"]),
    # Latin
    ("#café #münchen #mañana #Čeština #Ateş #Łódź", ["café", "münchen", "mañana", "čeština", "ateş", "łódź"]),
    ("#Việt_Nam #Ċaoiṁín #Azərbaycan", ["việt_nam", "ċaoiṁín", "azərbaycan"]),
    # Cyrillic, Greek, Armenian, Georgian
    ("это #новости, #Київ!", ["новости", "київ"]),
    ("#ёлка #Ёлка", ["ёлка"]),
    ("#Μαχάτμα_Γκάντι #მაჰათმა", ["μαχάτμα_γκάντι", "მაჰათმა"]),
    # Arabic, Persian, Hebrew
    ("#السلام_عليكم، #رمضان؟", ["السلام_عليكم", "رمضان"]),
    ("#ســـلام_٤٠٦ #هشتگ۶۷۸ #۳۴۵هشتگ", ["ســـلام_٤٠٦", "هشتگ۶۷۸", "۳۴۵هشتگ"]),
    ("#می\u200cخواهم", ["می\u200cخواهم"]),
    ("#مُحَمَّد", ["مُحَمَّد"]),
    ("#שלום! #עַל־יְדֵי #וכו׳ #מ״כ", ["שלום", "עַל־יְדֵי", "וכו׳", "מ״כ"]),
    ("שלום #ירושלים.", ["ירושלים"]),
    # Scripts with combining marks
    ("#महात्मा #हिन्दी_१२३ #नमस्ते।", ["महात्मा", "हिन्दी_१२३", "नमस्ते"]),
    ("#বাংলা #தமிழ் #తెలుగు #ਪੰਜਾਬੀ", ["বাংলা", "தமிழ்", "తెలుగు", "ਪੰਜਾਬੀ"]),
    ("#ශ්\u200dරීලංකා", ["ශ්\u200dරීලංකා"]),
    ("#ผู้เริ่ม #การเมือง", ["ผู้เริ่ม", "การเมือง"]),
    ("#བོད་སྐད་ #မြန်မာ #ខ្មែរ #ຊີວະສາດ #ኢትዮጵያ", ["བོད་སྐད་", "မြန်မာ", "ខ្មែរ", "ຊີວະສາດ", "ኢትዮጵያ"]),
    # Chinese, Japanese, Korean
    ("#中文，#日本語、#한국말。", ["中文", "日本語", "한국말"]),
    ("東京。#桜", ["桜"]),
    ("「#カタカナ」と『#ひらがな』", ["カタカナ", "ひらがな"]),
    ("#サッカー #ｻｯｶｰ #ﾊｯｼｭﾀｸﾞ", ["サッカー", "ｻｯｶｰ", "ﾊｯｼｭﾀｸﾞ"]),
    ("できた！#東京 できた！＃大阪", ["東京", "大阪"]),
    (
        "#メ～テレ #メ〜テレ #云々 #各〃 #キャサリン・ジョーンズ",
        ["メ～テレ", "メ〜テレ", "云々", "各〃", "キャサリン・ジョーンズ"],
    ),
    ("#〃", []),
    ("全角　#スペース　あと", ["スペース"]),
    ("#트위터입니다 #한글!", ["트위터입니다", "한글"]),
    ("#tokyoの夜", ["tokyoの夜"]),
    # Outside the Basic Multilingual Plane
    ("#𠀡 #𖼄𖽑 #A𐒠", ["𠀡", "𖼄𖽑", "a𐒠"]),
    # Full-width
    ("＃full", ["full"]),
    ("＃ｈａｓｈｔａｇ１２３", ["ｈａｓｈｔａｇ１２３"]),
    ("＃＃", []),
    # Emoji end a hashtag, and a hashtag may follow them
    ("#love❤️ #sun☀️day", ["love", "sun"]),
    ("#❤️ #👍🏽", []),
    ("👍🏽#one ❤️#two 👩‍🍳#three 🇫🇷#four ✌︎#five", ["one", "two", "three", "four", "five"]),
    ("#️⃣tag #1️⃣ 1️⃣#tag2", ["tag2"]),
    ("#party🎉#fun", ["party", "fun"]),
    # URLs
    ("http://example.com/#tag https://example.com/#tag", []),
    ("HTTPS://EXAMPLE.COM/#tag", []),
    ("example.com/#tag www.example.co.uk/a/b#c/#tag", []),
    ("example.com/path?q=#tag example.com?q=#tag example.com:8080/#tag", []),
    ("http://foo.com?#foo http://foo.com/a?b=c&d=#foo", []),
    ("https://localhost/#tag https://пример.рф/#tag", []),
    ("http://en.wikipedia.org/wiki/Primer_(film)#plot/#tag", []),
    ("(http://example.com/a) #tag (http://example.com/a)#tag2", ["tag", "tag2"]),
    ("http://example.com #tag", ["tag"]),
    ("http://example.com。#tag example.com、#tag2", ["tag", "tag2"]),
    ("日本語example.com/#tag", []),
    ("http://example.com/日本/#tag", ["tag"]),
    ("Wonderful.Right?#tag", ["tag"]),
    ("and/or.#tag 1.5/#tag2", ["tag", "tag2"]),
    ("example.com#tag #tag2", ["tag2"]),
    ("mail bob@example.com/#tag", ["tag"]),
    ("http:// #tag ://#tag2", ["tag", "tag2"]),
    ("http://example.com/" + "(a)" * 9 + " #tag", ["tag"]),
    # Too long
    ("#" + "a" * MAX_HASHTAG_LENGTH, ["a" * MAX_HASHTAG_LENGTH]),
    ("#" + "a" * (MAX_HASHTAG_LENGTH + 1), []),
    ("#" + "İ" * 60, []),  # 120 characters in lower case
]

MENTIONS: list[tuple[str, list[str]]] = [
    ("", []),
    ("@", []),
    ("@bob", ["bob"]),
    ("hello @bob and @alice", ["bob", "alice"]),
    ("@bob\n@alice @Bob @BOB", ["bob", "alice"]),
    ("＠bob", ["bob"]),
    ("@b.o_b9", ["b.o_b9"]),
    ("@12345", ["12345"]),
    # Lengths
    ("@ab @abc", ["abc"]),
    ("@" + "a" * 30, ["a" * 30]),
    ("@" + "a" * 31, []),
    # Dots
    ("ask @bob.", ["bob"]),
    ("ask @bob... @bob.smith.", ["bob", "bob.smith"]),
    ("@.. @...", []),
    ("@bob.,", ["bob"]),
    # Preceding characters
    ("(@bob) [@alice] .@carl /@dora -@emil ,@fred", ["bob", "alice", "carl", "dora", "emil", "fred"]),
    ("great.@bob", ["bob"]),
    ("の@bobに待っている", ["bob"]),
    ("привет,@bob!", ["bob"]),
    ("RT@bob rt@alice RT:@carl", ["bob", "alice", "carl"]),
    ("start@bob", []),
    ("meet@the beach", []),
    ("7@bob _@bob !@bob #@bob $@bob %@bob &@bob *@bob @@bob ＠@bob", []),
    ("❤️@bob", ["bob"]),
    # Following characters
    ("@bob, @alice: @carl! @dora's @emil-x @fred/list", ["bob", "alice", "carl", "dora", "emil", "fred"]),
    ("@bobの", ["bob"]),
    ("@aliceìnheiro", []),
    ("@bob#tag", ["bob"]),
    ("@bob@alice @bob@example.com", []),
    ("@http://example.com @https://example.com", []),
    ("@_@ (cc: @bob)", ["bob"]),
    # E-mail and URLs
    ("bob@example.com b.o.b@example.com bob+x@example.com", []),
    ("http://example.com/@bob https://example.com/a/@bob", []),
    ("medium.com/@bob example.com?by=@bob", []),
    ("http://example.com @bob", ["bob"]),
    ("http://example.com、@bob", ["bob"]),
    ("@example.com", ["example.com"]),
]

# Repeated, these make careless patterns backtrack.
BACKTRACKING_UNITS = [
    "#", "@", "a", "a.", "a-", "a_", "#a", "#1", "#_", "@.", "@a", "@a.", "rt@", "http", "http://", "http://a", "://",
    "a.com/", "日.本", "#tag ", "@bob ", "é.", "xn--", "&#", "İ", "\u0301", "\u200d", "(", "http://a.co/(", "(a(b)",
    "?#",
]  # fmt: skip
PREFIXES = ["", "#", "http://a.co/("]


@pytest.mark.parametrize(("text", "expected"), HASHTAGS)
def test_extract_hashtags(text: str, expected: list[str]) -> None:
    assert extract_hashtags(text) == expected


@pytest.mark.parametrize(("text", "expected"), MENTIONS)
def test_extract_mentions(text: str, expected: list[str]) -> None:
    assert extract_mentions(text) == expected


@pytest.mark.parametrize("unit", BACKTRACKING_UNITS)
def test_extraction_takes_linear_time(unit: str) -> None:
    """Thirty times the longest caption takes milliseconds; a pattern that backtracks takes most of a minute."""
    for opening in PREFIXES:
        text = (opening + unit * 66_000)[:66_000]
        assert_linear_time(extract_hashtags, text)
        assert_linear_time(extract_mentions, text)


@given(st.text(max_size=60))
@example("#Σ ΣΑΣ")
def test_extracted_hashtags_parse_to_themselves(text: str) -> None:
    for name, folded in zip(extract_hashtags(text), extract_folded_hashtags(text), strict=True):
        assert parse_hashtag(name) == parse_hashtag_prefix(name) == parse_hashtag(folded) == folded
        assert display_hashtag(folded) == name


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=20))
def test_case_and_unicode_composition_do_not_change_the_hashtag(word: str) -> None:
    name = parse_hashtag(word)
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, word)
        assert parse_hashtag(written) == name
        assert extract_folded_hashtags(f"#{written} #{written.lower()}") == [name]


def test_final_sigma_is_shown_and_does_not_change_the_hashtag() -> None:
    assert extract_hashtags("#ΟΔΟΣ #οδοσ #Οδός #Σ #σοφός_ΣΟΦΟΣ") == ["οδος", "οδός", "σ", "σοφός_σοφος"]
    assert parse_hashtag("ΟΔΟΣ") == parse_hashtag("οδος") == parse_hashtag_prefix("ΟΔΟσ") == "οδοσ"


@pytest.mark.parametrize("raw", ["Sunset", "#Sunset", "＃SUNSET"])
def test_parse_hashtag_with_or_without_hash_sign(raw: str) -> None:
    assert parse_hashtag(raw) == parse_hashtag_prefix(raw) == "sunset"


@pytest.mark.parametrize("raw", ["", "#", "##a", "a b", "a-b", "1", "💥", "a\0", "a#", "a" * 101, "a/b"])
def test_parse_hashtag_rejects_invalid_names(raw: str) -> None:
    assert parse_hashtag(raw) is None


def test_prefix_need_not_be_a_valid_hashtag() -> None:
    assert parse_hashtag_prefix("20") == "20"
    assert parse_hashtag_prefix("#_") == "_"
    assert (
        parse_hashtag_prefix("a b")
        is parse_hashtag_prefix("")
        is parse_hashtag_prefix("#")
        is parse_hashtag_prefix("a\0")
        is None
    )
