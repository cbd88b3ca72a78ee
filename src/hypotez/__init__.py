"""OpenAI's Assistants, fine-tuning and chat APIs, alive on your own machine.

    from hypotez import OpenAIModel

    model = OpenAIModel()
    print(model.ask("What is the capital of France?"))

Names load on first use: importing this package imports neither torch, openai nor fastapi.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypotez.demo import main
    from hypotez.model import AsyncOpenAIModel, OpenAIModel
    from hypotez.sentiment import determine_sentiment

__version__ = "0.1.0"
__all__ = ["AsyncOpenAIModel", "OpenAIModel", "__version__", "determine_sentiment", "main"]

_HOMES = {
    "AsyncOpenAIModel": "hypotez.model",
    "OpenAIModel": "hypotez.model",
    "determine_sentiment": "hypotez.sentiment",
    "main": "hypotez.demo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hypotez' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
