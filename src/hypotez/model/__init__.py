"""``OpenAIModel`` and ``AsyncOpenAIModel``: ask, remember, train, ask again. Calls to the SDK and to the pure rooms.

The async class is written by hand (``_async*.py``); ``scripts/unasync.py`` writes the other (``_sync*.py``).
"""

from hypotez.model._async import AsyncOpenAIModel
from hypotez.model._sync import OpenAIModel

__all__ = ["AsyncOpenAIModel", "OpenAIModel"]
