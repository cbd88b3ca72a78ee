"""Ids in OpenAI's style. Knows nothing about what the id names but its prefix."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
LENGTH = 24
EVEN = 256 - 256 % len(ALPHABET)
LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
UNEVEN = bytes(range(EVEN, 256))  # bytes that would favour the first letters
SPARE = 8

# two prefixes are glued with a dash at OpenAI, the others with an underscore
DASHED = {"file", "ftjob", "ftevent", "chatcmpl", "org"}


def new_id(prefix: str) -> str:
    """``new_id("asst")`` is ``asst_`` and 24 letters and digits; about 143 bits, so no collision in practice."""
    return f"{prefix}{'-' if prefix in DASHED else '_'}{random_name(LENGTH)}"


def random_name(length: int) -> str:
    """Letters and digits, each as likely, from one read of the system's randomness."""
    letters = b""
    while len(letters) < length:  # a second time once in a million times
        letters += secrets.token_bytes(length + SPARE).translate(LETTERS, UNEVEN)
    return letters[:length].decode("ascii")
