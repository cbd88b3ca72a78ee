"""A training process's rewards: by the job's grader, asking the models that a server here would ask."""

import json
from pathlib import Path

import pytest

from hypotez.cli._reinforcement import reinforcement, reward_of
from hypotez.grading.template import sample_of
from hypotez.store import Document, Store

STRING = {"type": "string_check", "name": "same", "operation": "eq", "input": "{{ sample.output_text }}",
          "reference": "{{ item.answer }}"}  # fmt: skip
SCORE = {"type": "score_model", "name": "judge", "model": "pocket", "sampling_params": {"max_completions_tokens": 40},
         "input": [{"role": "user", "content": "Rate {{ sample.output_text }}"}]}  # fmt: skip
COSINE = {**STRING, "type": "text_similarity", "evaluation_metric": "cosine"}
del COSINE["operation"]
PAIRS = [(sample_of("Paris"), {"answer": "Paris"}), (sample_of("Rome"), {"answer": "Paris"})]


def job(grader: dict, effort: str = "low") -> Document:
    private = {"method": "reinforcement", "grader": grader, "hyperparameters": {"reasoning_effort": effort}}
    return Document(1, "ftjob-1", "fine_tuning.job", "default", "", 0, "running", 1, "{}", json.dumps(private))


@pytest.fixture
def rewarded(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)

    def rewards(grader: dict) -> list:
        with reinforcement(job(grader), Path("/nowhere"), tmp_path, store) as means:
            return list(means.rewards(PAIRS))

    yield rewards
    store.close()


def test_replies_are_rewarded_by_the_jobs_grader(rewarded):
    assert [(one.value, one.parts) for one in rewarded(STRING)] == [(1.0, {"same": 1.0}), (0.0, {"same": 0.0})]


def test_a_judging_model_is_found_where_a_server_finds_it(rewarded):
    for one in rewarded(SCORE):
        assert 0.0 <= one.value <= 1.0
        assert set(one.faults) <= {"model_grader_parse_error"}  # it may babble, but it was asked


def test_texts_are_compared_by_the_local_models_vectors(rewarded):
    same, other = (one.value for one in rewarded(COSINE))

    assert same == pytest.approx(1.0)
    assert other < 0.99


def test_jobs_that_differ_in_grader_or_effort_are_told_apart():
    assert len({reward_of(job(STRING)), reward_of(job(STRING, effort="high")), reward_of(job(COSINE))}) == 3
    assert json.loads(reward_of(job(STRING)))[0] == STRING
