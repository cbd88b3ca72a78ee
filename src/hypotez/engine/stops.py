"""Stop strings over a growing text: nothing that may yet turn out to be one is let through."""

from collections.abc import Sequence

from hypotez.text.tools import partial_suffix


class Stops:
    """``push`` gives the text that is safe to show; after ``hit`` there is no more."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [s for s in strings if s]
        self._held = ""
        self.hit = False

    def push(self, text: str) -> str:
        if not self._strings:
            return text
        if self.hit:
            return ""
        self._held += text
        found = [at for s in self._strings if (at := self._held.find(s)) >= 0]
        if found:
            self.hit = True
            out, self._held = self._held[: min(found)], ""
            return out
        keep = max(partial_suffix(self._held, s) for s in self._strings)
        cut = len(self._held) - keep
        out, self._held = self._held[:cut], self._held[cut:]
        return out

    def flush(self) -> str:
        """The reply is over: what was held back was no stop string after all."""
        out, self._held = self._held, ""
        return out
