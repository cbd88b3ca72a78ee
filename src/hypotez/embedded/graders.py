"""What Python graders may take on this machine, by its settings."""

from hypotez.grading.sandbox import Limits
from hypotez.settings import Settings


def python_graders(settings: Settings) -> Limits:
    return Limits(seconds=settings.grading.python_seconds, confined=not settings.grading.unconfined_python)
