"""Whatever a user may import or call says what it is."""

import inspect
from collections.abc import Iterator

import pytest

from hypotez import AsyncOpenAIModel, OpenAIModel, backend, errors, export, sentiment, settings, testing

PLACES = [OpenAIModel, AsyncOpenAIModel, errors, settings, export, sentiment, testing, backend]


def public(place: object) -> Iterator[tuple[str, object]]:
    """Classes, functions and properties of a module or class of ours."""
    for name, value in inspect.getmembers(place):
        ours = (getattr(value, "__module__", None) or "hypotez").startswith("hypotez")
        kind = inspect.isclass(value) or callable(value) or isinstance(value, property)
        if not name.startswith("_") and kind and ours and not (inspect.isclass(place) and inspect.isclass(value)):
            yield name, value


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_every_public_name_has_a_docstring(place: object):
    own = [(name, value) for name, value in public(place) if not isinstance(value, type(inspect))]

    silent = [
        name for name, value in own if not (value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__)
    ]

    assert silent == []
