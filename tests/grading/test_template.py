"""Slots of a grader's texts."""

import pytest

from hypotez.errors import InvalidRequest
from hypotez.grading.outcome import Fault, Ungraded
from hypotez.grading.template import render, sample_of, slots

ITEM = {"answer": "Paris", "n": 1.0, "deep": {"list": [{"a b": "x"}, 2]}, "flag": True, "none": None, "город": "Омск"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("no slot { } {x}", "no slot { } {x}"),
        ("{{item.answer}} and {{ item.n }}", "Paris and 1.0"),
        ("{{ item.deep.list[0]['a b'] }}|{{ item.deep.list[1] }}", "x|2"),
        ('{{ item["flag"] }} {{ item.none }} {{ item.город }}', "true null Омск"),
        ("{{ item.deep.list }}", '[{"a b": "x"}, 2]'),
        ("{{ sample.output_text }}", '{"name": "Ann"}'),
        ("{{ sample.output_json.name }}", "Ann"),
        ("{{sample.output_tools[0].function.name}}", "find"),
        ("{{ sample.choices[0].message.content }}", '{"name": "Ann"}'),
    ],
)
def test_a_slot_is_filled_with_what_its_path_names(text, rendered):
    sample = sample_of('{"name": "Ann"}', [CALL])

    assert render(text, ITEM, sample) == rendered


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ item.nothing }}", Fault.VARIABLE),
        ("{{ item.deep.list[7] }}", Fault.VARIABLE),
        ("{{ item.answer.letters }}", Fault.VARIABLE),
        ("{{ sample.output_json.name }}", Fault.SAMPLE),
    ],
)
def test_what_is_not_there_is_no_empty_text(text, fault):
    with pytest.raises(Ungraded) as caught:
        render(text, ITEM, sample_of("no JSON"))

    assert caught.value.fault is fault


@pytest.mark.parametrize("text", ["{{ x }}", "{{ item }}", "{{ item.a + 1 }}", "{{ sample.text }}", "{{ 1 }}", "{{}}",
                                  "{{ item.__class__() }}", "{{ item.a | upper }}"])  # fmt: skip
def test_nothing_but_a_variable_may_stand_in_a_slot(text):
    with pytest.raises(InvalidRequest, match="template"):
        slots([text])


@pytest.mark.parametrize("text", ["not json", "NaN", "[" * 100_000])
def test_a_reply_that_is_no_json_has_no_output_json(text):
    assert "output_json" not in sample_of(text)
