"""/v1/fine_tuning/alpha/graders with the official SDK over a socket."""

import contextlib
import json
import time

import httpx2
import openai
import psutil
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms

from hypotez.errors import RateLimited
from hypotez.server import graders
from hypotez.testing import Fail, ScriptedBackend

STRING = {"type": "string_check", "name": "same", "operation": "eq", "input": "{{ sample.output_text }}",
          "reference": "{{ item.answer }}"}  # fmt: skip
NEAR = {"type": "text_similarity", "name": "near", "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}", "evaluation_metric": "rouge_l"}  # fmt: skip
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return len(sample['output_text'])"}
SCORE = {"type": "score_model", "name": "judge", "model": "scripted", "range": [0, 10],
         "input": [{"role": "user", "content": "Rate {{ sample.output_text }}"}]}  # fmt: skip
MULTI = {"type": "multi", "name": "both", "graders": {"a": STRING, "b": NEAR}, "calculate_output": "(a + b) / 2"}


def scripted(body):
    return Fail(RateLimited("too many")) if "fail" in str(body["messages"]) else json.dumps({"steps": [], "result": 7})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve_for_test(tmp_path_factory.mktemp("home"), ScriptedBackend(scripted), routers=[graders.router]) as server:
        yield server


@pytest.fixture
def alpha(server):
    return server.client.fine_tuning.alpha.graders


@pytest.mark.parametrize("grader", [STRING, NEAR, PYTHON, SCORE, MULTI], ids=lambda grader: grader["type"])
def test_a_sound_grader_comes_back_as_it_was_sent(alpha, grader):
    answer = json.loads(alpha.with_raw_response.validate(grader=grader).text)

    assert answer["grader"] == grader
    if grader is not MULTI:  # the specification has one grader where the guide and the server have many by name
        conforms("ValidateGraderResponse", answer)


@pytest.mark.parametrize(
    ("grader", "param", "says"),
    [
        ({**STRING, "operation": "is"}, "grader.operation", "Supported values are: 'eq', 'ne', 'like', 'ilike'"),
        ({**STRING, "reference": "{{ answer }}"}, None, "{{ answer }}"),
        ({"type": "vibes", "name": "x"}, "grader", "vibes"),
        ({**PYTHON, "source": "def grade(:"}, None, "SyntaxError"),
        ({**PYTHON, "source": "x = 1"}, None, "no function 'grade'"),
        ({**MULTI, "calculate_output": "a + c"}, None, "no grader 'c'"),
        ({**MULTI, "graders": {"a": MULTI}}, "grader.graders.a", "multi"),
        ({**SCORE, "range": [1, 0]}, "grader", "not below"),
        ({**SCORE, "input": []}, "grader.input", "empty array"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_with_a_grader(alpha, grader, param, says):
    with pytest.raises(openai.BadRequestError) as caught:
        alpha.validate(grader=grader)

    assert caught.value.param == param
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("grader", "reward"), [(STRING, 0.0), (NEAR, 0.5), (PYTHON, 8.0), (SCORE, 7.0), (MULTI, 0.25)],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_grader_runs_on_a_reply(alpha, grader, reward):
    answer = alpha.run(grader=grader, model_sample="my Paris", item={"answer": "the Paris"})

    assert answer.reward == pytest.approx(reward)
    assert not any(answer.metadata.errors.model_dump().values())
    assert answer.metadata.execution_time > 0
    conforms("RunGraderResponse", answer)


def test_sub_rewards_and_token_usage(alpha):
    several = alpha.run(grader=MULTI, model_sample="my Paris", item={"answer": "the Paris"})
    judged = alpha.run(grader=SCORE, model_sample="x")

    assert several.sub_rewards == {"a": 0.0, "b": 0.5}
    assert judged.metadata.sampled_model_name == "scripted"
    usage = judged.api_model_grader_token_usage_per_model["scripted"]
    assert judged.metadata.token_usage == usage["total_tokens"] > 0


@pytest.mark.parametrize(
    ("grader", "sample", "flag"),
    [
        (STRING, "x", "invalid_variable_error"),
        ({**STRING, "reference": "{{ sample.output_json.a }}"}, "x", "sample_parse_error"),
        ({**PYTHON, "source": "def grade(s, i): return 1 / 0"}, "x", "python_grader_runtime_error"),
        (
            {**MULTI, "graders": {"a": {**STRING, "reference": "y"}}, "calculate_output": "1 / a"},
            "x",
            "formula_parse_error",
        ),
        (SCORE, "fail", "model_grader_server_error"),
        ({**SCORE, "model": "unheard-of"}, "x", "model_grader_server_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_wrong_in_grading_is_flagged(alpha, grader, sample, flag):
    answer = alpha.run(grader=grader, model_sample=sample)

    assert answer.reward == 0.0
    flags = {name for name, value in answer.metadata.errors.model_dump(by_alias=True).items() if value is True}
    assert flags == {flag}
    conforms("RunGraderResponse", answer)


def test_the_details_of_a_python_error_name_its_line(alpha):
    answer = alpha.run(grader={**PYTHON, "source": "def grade(s, i):\n    return i['gone']"}, model_sample="x")

    assert answer.metadata.errors.python_grader_runtime_error_details == "line 2, in grade\nKeyError: 'gone'"


@pytest.mark.parametrize("sample", ["\x00", "🦊" * 1000, "[" * 50_000, "x" * 300_000, "{{ item.answer }}"])
def test_odd_replies_are_graded_all_the_same(server, sample):
    for grader in (STRING, NEAR, PYTHON):
        body = {"grader": grader, "model_sample": sample, "item": {"answer": "y"}}
        response = httpx2.post(f"{server.base_url}/fine_tuning/alpha/graders/run", json=body, timeout=30)

        assert response.status_code == 200, response.text[:500]


def test_a_grader_that_nobody_waits_for_any_more_is_ended(server, alpha):
    endless = {**PYTHON, "source": "def grade(sample, item):\n    while True: pass"}

    with pytest.raises(openai.APITimeoutError):
        server.client.with_options(timeout=1.0).fine_tuning.alpha.graders.run(grader=endless, model_sample="x")
    begun = time.monotonic()
    answer = alpha.run(grader=PYTHON, model_sample="four")

    assert answer.reward == 4.0
    assert time.monotonic() - begun < 60  # not the two minutes that a grade may take
    until(lambda: not inmates())


def inmates() -> list[int]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end while it is looked at
            found += [child.pid] if any("inmate.py" in word for word in child.cmdline()) else []
    return found


def until(true) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
