"""Ids in OpenAI's style. Knows nothing about what the id names but its prefix."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
LENGTH = 24

# two prefixes are glued with a dash at OpenAI, the others with an underscore
DASHED = {"file", "ftjob", "ftevent", "chatcmpl", "org"}


def new_id(prefix: str) -> str:
    """``new_id("asst")`` is ``asst_`` and 24 letters and digits; about 143 bits, so no collision in practice."""
    return f"{prefix}{'-' if prefix in DASHED else '_'}{random_name(LENGTH)}"


def random_name(length: int) -> str:
    """Letters and digits from one read of the system's randomness: a read per letter costs more than the rest."""
    # one byte more than the letters need, so that the remainder favours no letter by more than 1 in 256
    number = int.from_bytes(secrets.token_bytes(length * 6 // 8 + 1), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)
