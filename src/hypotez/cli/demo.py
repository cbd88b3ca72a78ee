"""``hypotez demo``: the guided tour."""

from typing import Annotated

import typer


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Train briefly and measure on a few questions only.")] = False,
) -> None:
    """The whole loop on your machine: ask, remember, train on a shop's questions, ask again, measure.

    Ends with a table of answers before and after, in a few minutes; needs no key and no network.
    """
    from hypotez.demo import main

    main(quick=quick)
