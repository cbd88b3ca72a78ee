"""Token ids to text, one at a time, never half a character.

Works on bytes: a token is looked up once in the vocabulary and remembered, and an incremental UTF-8
decoder joins characters that span tokens. One push costs the same however long the reply is.
"""

import codecs
import json
from collections.abc import Collection

import tokenizers


class TokenBytes:
    """The bytes each token stands for; empty for special tokens, unless listed in ``keep``."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, keep: Collection[int] = ()) -> None:
        decoder = json.loads(tokenizer.to_str())["decoder"] or {}
        parts = [decoder, *decoder.get("decoders", ())]
        self._byte_level = any(part.get("type") == "ByteLevel" for part in parts)
        # Llama 2's decoder drops the one space that SentencePiece put before the first word.
        self.strips_space = any(
            part.get("type") == "Strip" or (part.get("type") == "Metaspace" and part.get("prepend_scheme") != "never")
            for part in parts
        )
        self._tokenizer = tokenizer
        self._added = {
            i: b"" if token.special and i not in keep else token.content.encode()
            for i, token in tokenizer.get_added_tokens_decoder().items()
        }
        self._known: dict[int, bytes] = dict(self._added)
        self.longest = max(map(len, tokenizer.get_vocab(with_added_tokens=True)), default=1)  # characters of a token

    def __getitem__(self, token: int) -> bytes:
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._bytes(self._tokenizer.id_to_token(token) or "")
        return found

    def _bytes(self, piece: str) -> bytes:
        if self._byte_level:
            return b"".join(bytes((_BYTES[c],)) if c in _BYTES else c.encode() for c in piece)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes((int(piece[3:5], 16),))
        return piece.replace("▁", " ").encode()


class Stream:
    """One reply's text as it grows."""

    def __init__(self, table: TokenBytes) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._at_start = table.strips_space

    def push(self, token: int) -> str:
        """The text this token completes; empty while a character is unfinished."""
        text = self._decoder.decode(self._table[token])
        if self._at_start and text:
            self._at_start = False
            return text.removeprefix(" ")
        return text

    def flush(self) -> str:
        """What was held back; an unfinished character becomes U+FFFD."""
        return self._decoder.decode(b"", final=True)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTES = _byte_alphabet()
