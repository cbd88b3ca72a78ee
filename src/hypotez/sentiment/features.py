"""What a message tells the network: one row number per token, and a handful of numbers about the whole.

One function, ``read``, serves training and answering alike, so the two cannot drift apart. What a token is by itself
comes from a mapping the caller owns (``Word`` per raw token); here only the neighbourhood is worked out: which words
stand under a negation, what came before the last "but", how many kind and unkind words remain.
"""

from collections.abc import Mapping
from math import log1p, tanh
from typing import NamedTuple

from hypotez.sentiment.tokens import Role, cut

REACH = 3  # words a negation reaches, unless punctuation ends it earlier
BEFORE_TURN = 0.6  # what a word before the last "but" counts
DENSE = 24  # numbers about the whole message
RUSSIAN = 21  # which of them says that most of its words are Cyrillic

_WORD, _NEGATOR, _TURN, _STOP = int(Role.WORD), int(Role.NEGATOR), int(Role.TURN), int(Role.STOP)


class Word(NamedTuple):
    """What one raw token is by itself."""

    role: int
    plain: int  # its row
    denied: int  # its row under a negation
    valence: float  # what the word lists say: about -2 (awful) to 2 (superb), 0 when they are silent
    shout: int  # 1 when written in capitals
    cyrillic: int
    symbol: int  # 1 for what is seen in code rather than in prose
    digit: int


class Reading(NamedTuple):
    """A message as the network sees it."""

    rows: list[int]
    turn: int  # tokens before the last "but"
    dense: list[float]  # ``DENSE`` numbers


def read(message: str, words: Mapping[str, Word]) -> Reading:
    """Read ``message``; ``words`` answers for every possible token."""
    rows: list[int] = []
    push = rows.append
    reach = turn = spoken = shouted = cyrillic = symbols = digits = 0
    good = bad = good_denied = bad_denied = glad = sad = 0.0
    for token in cut(message):
        role, plain, denied, valence, shout, cyr, symbol, digit = words[token]
        if role == _WORD:
            spoken += 1
            shouted += shout
            cyrillic += cyr
            if reach:
                reach -= 1
                push(denied)
                if valence > 0:
                    good_denied += valence
                else:
                    bad_denied -= valence
                continue
            if valence > 0:
                good += valence
            else:
                bad -= valence
        elif role == _STOP:
            reach = 0
        elif role == _NEGATOR:
            spoken += 1
            shouted += shout
            cyrillic += cyr
            reach = REACH
        elif role == _TURN:
            reach, turn = 0, len(rows)
            good, bad = good * BEFORE_TURN, bad * BEFORE_TURN
            good_denied, bad_denied = good_denied * BEFORE_TURN, bad_denied * BEFORE_TURN
        else:
            symbols += symbol
            digits += digit
            if valence > 0:
                glad += valence
            else:
                sad -= valence
        push(plain)
    exclaimed, asked = message.count("!", 0, 4000), message.count("?", 0, 4000)
    smiles = message.count(")", 0, 4000) - message.count("(", 0, 4000)
    length = len(rows) + 1
    sum_ = tanh(good + 0.6 * bad_denied - bad - 0.8 * good_denied + glad - sad)
    loud = shouted / (spoken + 3) if spoken > 1 else 0.0
    russian = 1.0 if 2 * cyrillic > spoken else 0.0
    silent = 0.0 if good or bad or good_denied or bad_denied or glad or sad else 1.0
    emphasis = exclaimed / 3 if exclaimed < 3 else 1.0
    return Reading(
        rows,
        turn,
        [
            1.0 if turn else 0.0,
            log1p(good),
            log1p(bad),
            log1p(good_denied),
            log1p(bad_denied),
            log1p(glad),
            log1p(sad),
            good * 3 / (length + 3),
            bad * 3 / (length + 3),
            sum_,
            emphasis,
            asked / 3 if asked < 3 else 1.0,
            1.0 if message[-2:].rstrip().endswith("?") else 0.0,
            loud,
            loud * sum_,
            emphasis * sum_,
            log1p(smiles) if smiles > 0 else 0.0,  # a Russian smile is a bracket that nothing opened
            log1p(-smiles) if smiles < 0 else 0.0,
            3 * symbols / (length + 5),
            log1p(length) / 3,
            silent,
            russian,
            russian * sum_,
            3 * digits / (length + 5),
        ],
    )
