"""Which adapter lies in which LoRA slot. Loaded when asked for, kept while used, and the one unused for longest
makes way. Knows no names of models, only owners and folders.
"""

from collections import OrderedDict
from pathlib import Path

from hypotez.errors import Overloaded
from hypotez.nn.adapters import load_adapter
from hypotez.nn.decoder import Decoder
from hypotez.nn.lora import Lora
from hypotez.nn.lora_eight import EightBitLora


class Adapters:
    """At most ``slots`` adapters in memory at once, all usable in one batch."""

    def __init__(self, decoder: Decoder, slots: int) -> None:
        self._decoder, self._limit = decoder, slots
        self._kind = EightBitLora if decoder.stack is not None else Lora
        self._slots: OrderedDict[str, int] = OrderedDict()  # owner -> slot, least recently used first
        self._users: dict[str, int] = {}
        self._empty = list(reversed(range(slots)))
        self.loads = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def owners(self) -> list[str]:
        """Whose adapters are in memory, the one unused for longest first. From any thread."""
        return list(self._slots)

    def hold(self, owner: str, folder: Path) -> int:
        """The slot of ``owner``'s adapter, loaded from ``folder`` if need be; it stays until ``release``."""
        if owner not in self._slots:
            slot = self._room()
            try:
                load_adapter(self._decoder, slot, folder, slots=self._wanted(slot), kind=self._kind)
            except BaseException:
                self._empty.append(slot)
                raise
            self._slots[owner] = slot
            self.loads += 1
        self._slots.move_to_end(owner)
        self._users[owner] = self._users.get(owner, 0) + 1
        return self._slots[owner]

    def release(self, owner: str) -> None:
        """The other end of ``hold``; nothing for an owner whose slot somebody else fills (a training)."""
        if owner in self._users:
            self._users[owner] -= 1

    def can_hold(self, owner: str) -> bool:
        """Whether ``hold`` would find room now."""
        return owner in self._slots or bool(self._empty) or any(not self._users.get(o) for o in self._slots)

    def _wanted(self, slot: int) -> int:
        """All slots where one takes no memory before it is filled; else double as many as before, not one more, which
        would copy all of them every time.
        """
        return self._limit if self._decoder.device.type == "cpu" else min(1 << slot.bit_length(), self._limit)

    def _room(self) -> int:
        if self._empty:
            return self._empty.pop()
        for owner, slot in self._slots.items():
            if not self._users.get(owner):
                del self._slots[owner]
                self._users.pop(owner, None)
                return slot
        raise Overloaded(f"All {len(self._slots)} adapter slots are in use; try again shortly.", retry_after=1.0)
