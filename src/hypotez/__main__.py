"""``python -m hypotez`` is the same as ``hypotez``."""

from hypotez.cli import app

if __name__ == "__main__":
    app()
