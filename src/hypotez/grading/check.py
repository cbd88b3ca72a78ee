"""What can be known of a grader before it grades anything: its templates, its formula, its source."""

from collections.abc import Callable

from hypotez.grading import formula
from hypotez.grading.template import slots
from hypotez.wire.graders import AnyGrader, Multi, Python, singles, templates


def check(grader: AnyGrader, source: Callable[[str], None]) -> None:
    """Raises ``InvalidRequest`` for what could never work. ``source`` looks at the text of a Python grader."""
    item_fields(grader)
    if isinstance(grader, Multi):
        formula.check(grader.calculate_output, list(grader.graders))
    for single in singles(grader):
        if isinstance(single, Python):
            source(single.source)


def item_fields(grader: AnyGrader) -> list[str]:
    """The fields that each example must have: the first steps of ``{{ item.x }}``, in their order."""
    found = [str(slot.path[0]) for slot in slots(templates(grader)) if slot.namespace == "item"]
    return list(dict.fromkeys(found))
