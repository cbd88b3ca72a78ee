"""Which encoding a text file is in: UTF-8 (with or without mark), UTF-16 or Windows-1251; anything else is reported.

Reads the file once, in pieces, before it is read for its content. Guesses only where a wrong guess is
improbable: a file that is neither is refused with the line of the first byte that does not fit.
"""

import codecs
import re
from pathlib import Path

from hypotez.errors import DataError, Fault

_PIECE = 1 << 20
_CYRILLIC_WORDS = re.compile(rb"[\xc0-\xff\xa8\xb8]{2,}")  # letters of cp1251 stand together; accents of Latin-1 alone
_HIGH = re.compile(rb"[\x80-\xff]")


def detect(path: Path) -> str:
    """The encoding's Python name. Raises ``DataError`` for a file in none of those this package reads."""
    with path.open("rb") as file:
        head = file.read(_PIECE)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return _only(path, "utf-8-sig")
    if b"\0" in head:
        return _without_mark(path, head)
    broken = _first_break(path, "utf-8")
    if broken is None:
        return "utf-8"
    if _reads_as_cp1251(head if _HIGH.search(head) else path.read_bytes()):
        return "cp1251"
    raise _refusal(path, broken, "UTF-8 or Windows-1251")


def _only(path: Path, encoding: str) -> str:
    broken = _first_break(path, encoding)
    if broken is not None:
        raise _refusal(path, broken, "UTF-8, although it begins with UTF-8's mark")
    return encoding


def _without_mark(path: Path, head: bytes) -> str:
    """UTF-16 without its mark has a zero in every other byte of Latin text; other files with zeros are no text."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if abs(even - odd) > len(head) // 8:
        return "utf-16-le" if odd > even else "utf-16-be"
    raise DataError(
        f"{path} is not a text file (it holds zero bytes).",
        faults=[Fault(str(path), 0, None, "not a text file (it holds zero bytes)")],
    )


def _first_break(path: Path, encoding: str) -> tuple[int, int] | None:
    """Line and value of the first byte that is not of this encoding; ``None`` when all are."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            try:
                line += decoder.decode(piece, final=not piece).count("\n")
            except UnicodeDecodeError as exc:
                return line + exc.object[: exc.start].count(b"\n"), exc.object[exc.start]
            if not piece:
                return None


def _reads_as_cp1251(sample: bytes) -> bool:
    high = len(_HIGH.findall(sample))
    in_words = sum(len(word) for word in _CYRILLIC_WORDS.findall(sample))
    try:
        sample.decode("cp1251")
        damaged_utf8 = len(re.findall(rb"[\xd0\xd1][\x80-\xbf]", sample)) * 2 > high // 2
    except UnicodeDecodeError:
        return False
    return in_words > 0.8 * high and not damaged_utf8


def _refusal(path: Path, broken: tuple[int, int], expected: str) -> DataError:
    line, byte = broken
    what = f"wrong encoding: byte 0x{byte:02X} is not {expected}"
    return DataError(
        f"{path}:{line}: {what}.",
        faults=[Fault(str(path), line, None, what)],
        hint="Save the file as UTF-8, or name its encoding: encoding='latin-1', --encoding latin-1.",
    )
