"""Who owns which block of the KV cache. Bookkeeping only: no torch here, and no sequence either.

A block holds the keys and values of ``size`` tokens. A full block is named by a digest of everything
before and in it, so that a later request with the same beginning finds it (prefix cache). A block that
nobody uses keeps its name until its place is needed: the one unused for longest goes first.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence


class Blocks:
    """``count`` blocks of ``size`` tokens each; ``share`` False switches the prefix cache off."""

    def __init__(self, count: int, size: int, share: bool = True) -> None:
        self.count, self.size, self.share = count, size, share
        self._users = [0] * count
        self._digest: list[bytes | None] = [None] * count
        self._named: dict[bytes, int] = {}
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(count))  # longest unused first

    @property
    def free(self) -> int:
        """Blocks that could be taken now, remembered ones included."""
        return len(self._free)

    def needed(self, tokens: int) -> int:
        return -(-tokens // self.size)

    def take(self) -> int:
        """An empty block; the name of what it held is forgotten. Ask ``free`` first."""
        block, _ = self._free.popitem(last=False)
        self._forget(block)
        self._users[block] = 1
        return block

    def find(self, digests: Sequence[bytes]) -> list[int]:
        """The blocks already computed for the longest beginning of ``digests``; each gains a user."""
        found: list[int] = []
        for digest in digests if self.share else ():
            block = self._named.get(digest)
            if block is None:
                break
            if self._users[block] == 0:
                del self._free[block]
            self._users[block] += 1
            found.append(block)
        return found

    def name(self, block: int, digest: bytes) -> None:
        """The block is full and computed: others may find it. The first of two equal ones keeps the name."""
        if self.share and self._digest[block] is None and digest not in self._named:
            self._digest[block] = digest
            self._named[digest] = block

    def release(self, blocks: Sequence[int]) -> None:
        """Give up one use of each; later blocks of a sequence are forgotten before earlier ones."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                self._free[block] = None
                if self._digest[block] is None:  # nothing to remember: the first to be taken again
                    self._free.move_to_end(block, last=False)

    def forget(self) -> None:
        """Drop every name, as when the weights changed."""
        for block in range(self.count):
            self._forget(block)

    def _forget(self, block: int) -> None:
        digest = self._digest[block]
        if digest is not None:
            del self._named[digest]
            self._digest[block] = None


def digests(tokens: Sequence[int], size: int, owner: str, known: Sequence[bytes] = ()) -> list[bytes]:
    """One digest per full block of ``tokens``, the first ones ``known``; ``owner`` keeps adapters apart."""
    result = list(known)
    parent = result[-1] if result else owner.encode()
    for start in range(len(result) * size, len(tokens) - size + 1, size):
        parent = hashlib.blake2b(parent + array("q", tokens[start : start + size]).tobytes(), digest_size=16).digest()
        result.append(parent)
    return result
