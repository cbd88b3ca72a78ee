"""Graders on replies, judged by a scripted model where they ask one."""

import asyncio
import json

import pytest
from pydantic import TypeAdapter

from hypotez.errors import InvalidRequest, RateLimited
from hypotez.grading.check import check, item_fields
from hypotez.grading.grade import Means
from hypotez.grading.outcome import Fault, Usage, Verdict
from hypotez.grading.sandbox import Sandbox
from hypotez.grading.template import sample_of
from hypotez.wire.graders import Grader

READ = TypeAdapter(Grader).validate_python
ITEM = {"answer": "Paris", "n": 3}
JUDGING = [{"role": "user", "content": "Reference {{ item.answer }}, answer {{ sample.output_text }}"}]


class Oracle:
    """A judge that says what it was told to, and remembers the questions."""

    def __init__(self, answer="{}", refusal=None, vectors=()):
        self.answer, self.refusal, self.vectors, self.asked = answer, refusal, vectors, []

    async def ask(self, body):
        self.asked.append(body)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Verdict(self.answer, self.refusal, Usage(10, 2))

    async def embed(self, texts):
        return [list(vector) for vector in self.vectors]


def graded(grader, text, judge=None, item=ITEM):
    means = Means(Sandbox(), judge or Oracle())
    try:
        return asyncio.run(means.grade(READ(grader), sample_of(text), item))
    finally:
        means.sandbox.close()


def string_check(operation="eq", reference="{{ item.answer }}", name="same"):
    return {"type": "string_check", "name": name, "operation": operation, "input": "{{ sample.output_text }}",
            "reference": reference}  # fmt: skip


def score_model(**more):
    return {"type": "score_model", "name": "judge", "model": "wise", "input": JUDGING, **more}


@pytest.mark.parametrize(
    ("operation", "text", "reward"),
    [("eq", "Paris", 1), ("eq", "paris", 0), ("ne", "paris", 1), ("like", "It is Paris.", 1), ("like", "paris", 0),
     ("ilike", "it is paRIS", 1), ("ilike", "Rome", 0)],
)  # fmt: skip
def test_string_check(operation, text, reward):
    assert graded(string_check(operation), text).reward == reward


def test_text_similarity_measures_and_cosine_asks_for_vectors():
    grader = {"type": "text_similarity", "name": "near", "input": "{{ sample.output_text }}",
              "reference": "{{ item.answer }}", "evaluation_metric": "fuzzy_match"}  # fmt: skip

    assert graded(grader, "Pari").reward == pytest.approx(8 / 9)
    close = graded(grader | {"evaluation_metric": "cosine"}, "Pari", Oracle(vectors=[(1.0, 0.0), (0.6, 0.8)]))
    assert close.reward == pytest.approx(0.6)


def test_a_python_grader_gets_sample_and_item():
    source = "def grade(sample, item):\n    return item['n'] / 10 + len(sample['output_json'])"

    assert graded({"type": "python", "name": "p", "source": source}, '{"a": 1}').reward == pytest.approx(1.3)


@pytest.mark.parametrize(("said", "reward"), [(0.75, 0.75), (5, 1.0), (-3.0, 0.0)])
def test_a_score_is_cut_to_its_range(said, reward):
    judge = Oracle(json.dumps({"steps": [], "result": said}))

    found = graded(score_model(), "Lyon", judge)

    assert (found.reward, found.usage) == (reward, {"wise": Usage(10, 2)})
    assert judge.asked[0]["messages"] == [{"role": "user", "content": "Reference Paris, answer Lyon"}]
    assert judge.asked[0]["response_format"]["type"] == "json_schema"


def test_sampling_parameters_go_to_the_judge_in_chats_spelling():
    judge = Oracle('{"steps": [], "result": 1}')
    params = {"temperature": 0, "max_completions_tokens": 50, "seed": 7, "top_p": None}

    graded(score_model(sampling_params=params), "x", judge)

    asked = judge.asked[0]
    assert (asked["temperature"], asked["max_completion_tokens"], asked["seed"]) == (0, 50, 7)
    assert "top_p" not in asked


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        (Oracle("no JSON"), Fault.MODEL),
        (Oracle('{"result": "high"}'), Fault.MODEL),
        (Oracle("[1]"), Fault.MODEL),
        (Oracle("", refusal="I will not."), Fault.REFUSAL),
        (Oracle(RateLimited("slow down")), Fault.MODEL_SERVER),
    ],
)
def test_a_judge_that_gives_no_grade_gives_zero_and_says_why(judge, fault):
    found = graded(score_model(), "x", judge)

    assert (found.reward, list(found.faults)) == (0.0, [fault])


def test_labels_pass_or_fail():
    grader = {"type": "label_model", "name": "l", "model": "wise", "input": JUDGING, "labels": ["good", "bad"],
              "passing_labels": ["good"]}  # fmt: skip

    assert [graded(grader, "x", Oracle(json.dumps({"result": r}))).reward for r in ("good", "bad")] == [1.0, 0.0]
    assert list(graded(grader, "x", Oracle('{"result": "soso"}')).faults) == [Fault.MODEL]


def test_several_graders_make_one_number():
    multi = {"type": "multi", "name": "both", "calculate_output": "0.5 * same + 0.5 * part",
             "graders": {"same": string_check(), "part": string_check("like", "P", name="part_grader")}}  # fmt: skip

    found = graded(multi, "Paddington")

    assert found.reward == 0.5
    assert {name: part.reward for name, part in found.parts.items()} == {"same": 0.0, "part": 1.0}


def test_the_specifications_single_grader_counts_by_its_name():
    assert graded({"type": "multi", "name": "m", "calculate_output": "same * 2", "graders": string_check()},
                  "Paris").reward == 2.0  # fmt: skip


def test_one_failed_part_fails_the_whole():
    multi = {
        "type": "multi",
        "name": "m",
        "calculate_output": "a",
        "graders": {"a": string_check(reference="{{ item.x }}")},
    }

    assert list(graded(multi, "Paris").faults) == [Fault.VARIABLE]


def test_a_formula_without_a_result():
    multi = {"type": "multi", "name": "m", "calculate_output": "1 / same", "graders": {"same": string_check()}}

    assert list(graded(multi, "Rome").faults) == [Fault.FORMULA]


@pytest.mark.parametrize(
    "grader",
    [
        string_check(reference="{{ answer }}"),
        {"type": "multi", "name": "m", "calculate_output": "other", "graders": {"same": string_check()}},
        {"type": "python", "name": "p", "source": "print('no function')"},
    ],
)
def test_what_could_never_grade_is_refused_beforehand(grader):
    sandbox = Sandbox()

    with pytest.raises(InvalidRequest):
        check(READ(grader), sandbox.check)

    sandbox.close()


def test_the_fields_that_examples_must_have():
    multi = {"type": "multi", "name": "m", "calculate_output": "a + b",
             "graders": {"a": string_check(reference="{{ item.x.y }} {{ item.z }}"), "b": score_model()}}  # fmt: skip

    assert item_fields(READ(multi)) == ["x", "z", "answer"]
