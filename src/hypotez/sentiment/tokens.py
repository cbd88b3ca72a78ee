"""A message cut into words, smileys and punctuation, and what each of them means to its neighbours.

Knows nothing about weights or labels. Everything that depends on one token alone (its normal form, its
stem, its character n-grams) is computed once per distinct token and remembered by the caller; only what
depends on the neighbours (negation, "but") is worked out per message. That is what makes 20,000
messages a second possible without a compiled extension.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from zlib import crc32

LIMIT = 4000  # characters read of one message: the first and the last half of this

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
_TOKEN = re.compile(
    r"https?://\S+|www\.\S+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{1,64}"  # addresses
    r"|@\w+"  # somebody's name
    r"|[:;=8xXхХ][-^']?[)(DdPpРр3/\\|\]\[*oO]+(?!\w)|<3+|</3|\^_*\^|-_+-|[тТ]_[тТ]|[oOоО]_[oOоО]"  # typed smileys
    r"|[^\W\d_]+(?:['’][^\W\d_]+)*"  # words
    r"|\d+(?:[.,:]\d+)*[)%]?"  # numbers, and "1)" so that a list is no smile
    r"|[\u2600-\u27BF\u2B00-\u2BFF\U0001F1E6-\U0001FAFF]"  # emoji, one by one
    r"|[!?]+|\.\.+|…|\)+|\(+|[.,;:\n—–]|[{}\[\]=<>|\\/*#$_&~^+\"«»“”-]"
)
_RUN = re.compile(r"(.)\1{2,}")  # three of the same in a row: "sooo"

_DENIALS = (
    "not no never nothing nobody none neither nor without hardly barely cannot cant dont doesnt didnt isnt wasnt "
    "arent werent wont wouldnt couldnt shouldnt hasnt havent hadnt aint nope n't nowhere scarcely "
    "не нет ни без никогда ничего никто никак никакой никакая никакие никакого нету нельзя нисколько никаких "
    "нигде ничем ничто отнюдь нечего"
)
_NEGATORS = frozenset(_DENIALS.split())
_TURNS = frozenset(("but", "however", "yet", "except", "но", "однако", "зато"))

_SMILES = frozenset(("xd", "хд", "^^", "^_^", "<3", "<33", "x)", "х)"))
_SAD = frozenset(("</3", "-_-", "т_т", "t_t", "х(", "x("))


class Role(IntEnum):
    """What a token does to its neighbours."""

    WORD = 0
    NEGATOR = 1
    TURN = 2  # "but": what follows counts more than what came before
    STOP = 3  # ends the reach of a negation
    OTHER = 4  # neither a word nor a stop


def cut(message: str) -> list[str]:
    """The raw tokens of ``message`` in order; of a long one, those of its beginning and of its end.

    Linear in the length: past the limit only ``LIMIT`` characters are looked at. Code between backticks says nothing
    about how its writer feels and is left out.
    """
    if len(message) > LIMIT:
        message = message[: LIMIT // 2] + "\n" + message[-LIMIT // 2 :]
    if "`" in message:
        message = _CODE.sub(" ", message)
    return _TOKEN.findall(message)


def normal(token: str) -> str:
    """The form under which a token is known: lower case, one spelling of the apostrophe and of ё, runs cut to two."""
    first = token[0]
    if first == "@":
        return "@"
    if first.isdigit():
        return "0"
    if len(token) > 4 and ("://" in token or token[:4].lower() == "www." or "@" in token):
        return "http"
    form = token.lower().replace("ё", "е").replace("’", "'")
    return _RUN.sub(r"\1\1", form)[:40]


def role(form: str) -> Role:
    """The role of a token in its normal form."""
    if form in _NEGATORS or form.endswith("n't"):
        return Role.NEGATOR
    if form in _TURNS:
        return Role.TURN
    if form[0].isalpha():
        return Role.WORD
    if form[0] in ".!?…\n,;:—–()" and not smile(form):
        return Role.STOP
    return Role.OTHER


def smile(form: str) -> int:
    """1 for a smile typed by hand, -1 for a sad face, 0 for anything else."""
    if form in _SMILES:
        return 1
    if form in _SAD:
        return -1
    if form[0] in ":;=8" and len(form) > 1:
        return 1 if form[-1] in ")d*3p]р" else -1 if form[-1] in "([/\\|o" else 0
    return 0


_RU_ENDING = re.compile(
    r"(?:(?:ейш|айш)?(?:ими|ыми|его|ого|ему|ому|ее|ие|ые|ое|ей|ий|ый|ой|ем|им|ым|ом|их|ых|ую|юю|ая|яя|ою|ею)"
    r"|(?:ила|ыла|ена|ейте|уйте|ите|или|ыли|ило|ыло|ено|ует|уют|ены|ить|ыть|ишь|ую|ала|яла|ала|али|яли|ало|яло|ать|ять|ают|яют|ает|яет"
    r"|аю|яю|ешь|ете|ют|ят|ут|ат|ит|ет|ла|ли|ло|на|но|ны|ть|й|л|н|ть|ем)"
    r"|(?:иями|ями|ами|ией|иям|ием|иях|ев|ов|ие|ье|еи|ии|ей|ой|ий|ям|ем|ам|ом|ах|ях|ию|ью|ия|ья|и|ы|ь|ю|я|а|е|о|у))$"
)
_EN_ENDING = re.compile(r"(?:'s|ingly|edly|ness|ments?|ing|ied|ies|ely|ily|ly|ed|es|est|er|s|y|e)$")


def stem(form: str) -> str:
    """A word without its ending: crude, the same for most forms of one word, at least three letters long."""
    if form[0] >= "а":
        short = form.removesuffix("ся").removesuffix("сь") if len(form) > 5 else form
        ending = _RU_ENDING.search(short, 3)
    else:
        short = form
        ending = _EN_ENDING.search(short, 3)
    return short[: ending.start()] if ending else short


def grams(form: str, shortest: int = 3, longest: int = 5) -> Iterator[int]:
    """Hashes of the character n-grams of ``<form>``, its boundaries marked."""
    raw = f"<{form}>".encode("utf-16-le", "surrogatepass")
    end = len(raw)
    for n in range(2 * shortest, 2 * longest + 2, 2):
        for start in range(0, end - n + 2, 2):
            yield crc32(raw[start : start + n])
