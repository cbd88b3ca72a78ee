# One word per chore. Everything runs in the virtual environment that is active.
.PHONY: demo test check docs bench pin

demo:  ## the guided tour
	hypotez demo

test:  ## all tests
	pytest

check:  ## what CI asks beside the tests
	python -m ruff check .
	python -m ruff format --check .
	python -m mypy --strict
	python scripts/unasync.py --check
	python scripts/docs.py --check

docs:  ## write what the code knows into docs/
	python scripts/docs.py

bench:  ## measure everything that docs/performance.md shows
	python bench/run.py

pin:  ## renew constraints.txt from what the newest versions resolve to
	python scripts/pin.py
