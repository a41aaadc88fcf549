"""Names, captions, hashtags and biographies of the demo's people, in eight languages."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Locale:
    given: tuple[tuple[str, str], ...]  # (in usernames, in display names)
    family: tuple[tuple[str, str], ...]
    openings: tuple[str, ...]
    endings: tuple[str, ...]
    hashtags: tuple[str, ...]
    bios: tuple[str, ...]
    comma: str = ", "


CAPTIONS_PER_LOCALE = 300
EMOJI = (
    "🌅",
    "☕",
    "🚲",
    "🏔️",
    "🌊",
    "📷",
    "🍜",
    "🌿",
    "🎶",
    "✨",
    "🥐",
    "🌙",
    "🐾",
    "🍋",
    "⛵",
    "🌸",
    "👩🏽‍🍳",
    "🇺🇳",
    "❤️‍🔥",
)


def _latin(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), name) for name in names)


ENGLISH = Locale(
    given=_latin("Nora", "Owen", "Ivy", "Miles", "Tessa", "Callum", "Priya", "Jonah", "Maeve", "Theo"),
    family=_latin("Whitlock", "Barrow", "Finch", "Okafor", "Marsh", "Calder", "Quinn", "Hale", "Tran", "Rowe"),
    openings=(
        "First light over the harbour",
        "Took the long way home",
        "The kettle is on and the rain can stay",
        "Found this little bakery behind the station",
        "Three hours of climbing for five minutes of view",
        "Trying to grow tomatoes on a windowsill",
        "Sunday, slowly",
        "The dog insisted on one more beach",
    ),
    endings=(
        "worth every step.",
        "and no one else around.",
        "would do it again tomorrow.",
        "who's coming next time?",
        "no filter needed.",
        "still thinking about it.",
    ),
    hashtags=("goldenhour", "slowliving", "weekend", "streetphotography", "homemade", "trailrunning"),
    bios=("Light, bread and long walks.", "Photographer at weekends, plumber on weekdays.", "Mostly harmless."),
)
SPANISH = Locale(
    given=(("lucia", "Lucía"), ("mateo", "Mateo"), ("ines", "Inés"), ("ruben", "Rubén"), ("alba", "Alba")),
    family=(("ibanez", "Ibáñez"), ("munoz", "Muñoz"), ("vega", "Vega"), ("rios", "Ríos"), ("pena", "Peña")),
    openings=(
        "Amanece en la sierra",
        "Domingo de mercado",
        "El mejor café del barrio",
        "Por fin vacaciones",
        "Cociné la receta de mi abuela",
        "Se fue la luz y salieron las estrellas",
    ),
    endings=("¡y qué rico!", "¿quién se apunta?", "sin prisa.", "mañana, otra vez.", "qué maravilla de día."),
    hashtags=("atardecer", "domingo", "cocinacasera", "montaña", "viajar"),
    bios=("Montaña, mar y café solo.", "Aprendiz de todo.", "Fotos de lo que se mueve despacio."),
)
PORTUGUESE = Locale(
    given=(("joao", "João"), ("beatriz", "Beatriz"), ("caue", "Cauê"), ("lia", "Lia"), ("antonia", "Antónia")),
    family=(("conceicao", "Conceição"), ("moura", "Moura"), ("falcao", "Falcão"), ("serra", "Serra")),
    openings=(
        "Pão quente e manteiga",
        "O mar hoje estava assim",
        "Depois da chuva, o cheiro de terra",
        "Roda de samba na praça",
        "Subimos até ao miradouro",
    ),
    endings=("que saudade!", "bora amanhã?", "coisa boa.", "fica para a memória.", "nem acredito."),
    hashtags=("praia", "fimdesemana", "pãodequeijo", "saudade", "pôrdosol"),
    bios=("Do mar para a mesa.", "Coleciono azulejos e histórias.", "Sempre com fome."),
)
FRENCH = Locale(
    given=(("elodie", "Élodie"), ("remi", "Rémi"), ("maelys", "Maëlys"), ("gael", "Gaël"), ("jeanne", "Jeanne")),
    family=(("lefevre", "Lefèvre"), ("carpentier", "Carpentier"), ("besson", "Besson"), ("noel", "Noël")),
    openings=(
        "Marché du samedi matin",
        "Un croissant, deux croissants",
        "Brume sur le canal",
        "Petit tour à vélo",
        "On a raté le train, alors on a marché",
    ),
    endings=("quel bonheur.", "on y retourne quand ?", "tout simplement.", "et voilà !", "sans se presser."),
    hashtags=("faitmaison", "balade", "été", "vélo", "lumièredumatin"),
    bios=("Je photographie des portes.", "Pain, fromage, randonnée.", "À l'ouest, le plus souvent."),
)
GERMAN = Locale(
    given=(("jorg", "Jörg"), ("friederike", "Friederike"), ("soren", "Sören"), ("greta", "Greta")),
    family=(("muller", "Müller"), ("krause", "Krause"), ("schroder", "Schröder"), ("weiss", "Weiß")),
    openings=(
        "Frühstück auf dem Balkon",
        "Einmal um den See",
        "Endlich Pilzzeit",
        "Der Zug hatte Verspätung, der Himmel nicht",
        "Werkstatt statt Büro",
    ),
    endings=("schön war's.", "morgen gleich noch mal.", "wer kommt mit?", "einfach so.", "mehr braucht es nicht."),
    hashtags=("wanderlust", "feierabend", "selbstgebacken", "draußen", "frühling"),
    bios=("Draußen, sobald es geht.", "Baut Regale. Meistens gerade.", "Kaffee vor Worten."),
)
ARABIC = Locale(
    given=(("layla", "ليلى"), ("karim", "كريم"), ("huda", "هدى"), ("yusuf", "يوسف"), ("salma", "سلمى")),
    family=(("haddad", "حداد"), ("nasser", "ناصر"), ("mansour", "منصور"), ("khoury", "خوري")),
    openings=(
        "صباح الخير من الشرفة",
        "قهوة وكتاب",
        "طريق البحر عند الغروب",
        "خبز طازج من الفرن",
        "أول يوم في الجبل",
    ),
    endings=("يوم جميل.", "من يأتي معنا؟", "لا شيء أجمل.", "إلى اللقاء غدًا.", "الحمد لله."),
    hashtags=("قهوة", "غروب", "سفر", "تصوير", "طبيعة"),
    bios=("قهوة، كتب، وسفر.", "أصوّر ما أحب.", "هنا من أجل الغروب."),
    comma="، ",
)
HINDI = Locale(
    given=(("aarav", "आरव"), ("meera", "मीरा"), ("kabir", "कबीर"), ("ananya", "अनन्या"), ("rohan", "रोहन")),
    family=(("sharma", "शर्मा"), ("joshi", "जोशी"), ("mehta", "मेहता"), ("rawat", "रावत")),
    openings=(
        "सुबह की चाय",
        "पहाड़ों में पहला दिन",
        "बारिश के बाद की सड़क",
        "माँ के हाथ का खाना",
        "शाम की सैर",
    ),
    endings=("दिल खुश हो गया।", "कल फिर चलेंगे।", "कौन साथ चलेगा?", "बस इतना ही चाहिए।", "यादगार दिन।"),
    hashtags=("चाय", "बारिश", "पहाड़", "घरकाखाना", "यात्रा"),
    bios=("चाय और किताबें।", "पहाड़ बुलाते हैं।", "धीरे चलो, दूर तक चलो।"),
)
JAPANESE = Locale(
    given=(("haruka", "遥"), ("sota", "颯太"), ("mio", "澪"), ("ren", "蓮"), ("yui", "結衣")),
    family=(("kobayashi", "小林"), ("mori", "森"), ("ishikawa", "石川"), ("hayashi", "林")),
    openings=(
        "朝の散歩",
        "雨上がりの商店街",
        "手打ちうどんに挑戦",
        "終電を逃して歩いた夜",
        "猫が先に座っていた",
    ),
    endings=("最高でした。", "また行きたい。", "のんびり。", "誰か一緒に行かない？", "いい一日。"),
    hashtags=("散歩", "カフェ巡り", "猫", "夕焼け", "手作り"),
    bios=("猫とコーヒー。", "写真は週末だけ。", "ゆっくり歩く人。"),
    comma="。",
)
LOCALES = (ENGLISH, SPANISH, PORTUGUESE, FRENCH, GERMAN, ARABIC, HINDI, JAPANESE)
_SPEAKERS = (5, 3, 2, 2, 2, 2, 2, 2)  # people per 20 for each locale
# (locale, share, rank) for 20 people. The slots take them with a stride, so that neighbours differ.
_SPEAKER_ROUND = [
    (locale, share, rank) for locale, share in zip(LOCALES, _SPEAKERS, strict=True) for rank in range(share)
]
_SPEAKER_SLOTS = [_SPEAKER_ROUND[slot * 7 % len(_SPEAKER_ROUND)] for slot in range(len(_SPEAKER_ROUND))]


def locale_of(person: int) -> tuple[Locale, int]:
    """Return a person's locale, and their number among the people of that locale."""
    rounds, slot = divmod(person, len(_SPEAKER_SLOTS))
    locale, share, rank = _SPEAKER_SLOTS[slot]
    return locale, rounds * share + rank


def generate_captions(seed: int) -> list[list[str]]:
    """Return lists of captions. A person uses the list at their number modulo the number of lists."""
    rng = Random(f"{seed}/captions")
    captions = {locale: [_caption(locale, rng) for _ in range(CAPTIONS_PER_LOCALE)] for locale in LOCALES}
    return [captions[locale] for locale, _, _ in _SPEAKER_SLOTS]


def _caption(locale: Locale, rng: Random) -> str:
    """Return one or two clauses, mostly with emoji, and up to three hashtags; 1 to 2,200 characters."""
    words = rng.choice(locale.openings)
    if rng.random() < 0.7:
        words += locale.comma + rng.choice(locale.endings)
    if rng.random() < 0.8:
        words += " " + "".join(rng.sample(EMOJI, rng.randint(1, 2)))
    tags = rng.sample(locale.hashtags, rng.randint(0, 3))
    return words + ("\n\n" if len(tags) > 2 else " " if tags else "") + " ".join(f"#{tag}" for tag in tags)
