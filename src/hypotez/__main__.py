"""``python -m hypotez`` is the same as ``hypotez``."""

from hypotez.cli import main

if __name__ == "__main__":
    main()
