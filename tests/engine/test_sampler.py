"""The sampler's arithmetic on logits small enough to check by hand."""

from collections import Counter

import pytest
import torch

from hypotez.engine.sampler import choose
from hypotez.engine.sequence import Sampling, Sequence
from hypotez.engine.stops import Stops

LOGITS = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.1]))


def shares(rows=4000, **wish):
    """How often each token is drawn."""
    sequences = [Sequence([0], Sampling(seed=i, **wish)) for i in range(rows)]
    drawn = Counter(token for token, _ in choose(LOGITS.repeat(rows, 1), sequences))
    return [round(drawn[token] / rows, 2) for token in range(4)]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1]),
        ({"temperature": 0.5}, [0.725, 0.181, 0.065, 0.029]),
        ({"top_k": 2}, [0.667, 0.333, 0, 0]),
        ({"top_p": 0.7}, [0.667, 0.333, 0, 0]),
        ({"top_p": 0.76}, [0.556, 0.278, 0.167, 0]),
        ({"min_p": 0.25}, [0.556, 0.278, 0.167, 0]),
        ({"top_p": 0.0}, [1, 0, 0, 0]),
        ({"temperature": 0}, [1, 0, 0, 0]),
        ({"temperature": 1e-5}, [1, 0, 0, 0]),
        ({"logit_bias": {0: -100.0}}, [0, 0.5, 0.3, 0.2]),
    ],
    ids=str,
)
def test_tokens_are_drawn_with_their_share(wish, expected):
    assert shares(**wish) == pytest.approx(expected, abs=0.03)


def test_a_flat_distribution_wider_than_the_candidates_is_sorted_whole():
    wide = torch.zeros(64, 5000)
    sequences = [Sequence([0], Sampling(seed=i, top_p=0.999)) for i in range(64)]

    drawn = [token for token, _ in choose(wide, sequences)]

    assert max(drawn) > 2000


def test_forbidden_tokens_are_never_chosen():
    allowed = torch.tensor([[False, False, True, False]]).repeat(50, 1)
    sequences = [Sequence([0], Sampling(temperature=i % 2 * 2.0, seed=i)) for i in range(50)]

    assert {token for token, _ in choose(LOGITS.repeat(50, 1), sequences, allowed)} == {2}


def test_penalties_follow_what_was_said():
    sequence = Sequence([0], Sampling(temperature=0, presence_penalty=0.5, frequency_penalty=0.25, max_tokens=9))
    row = torch.tensor([[2.0, 1.9, 1.1, 0.0]])

    said = []
    for _ in range(5):
        ((token, _),) = choose(row, [sequence])
        sequence.append(token)
        said.append(token)

    assert said == [0, 1, 0, 1, 2]  # 2.0, 1.9; 1.25, 1.15; and then 1.0, 0.9 against 1.1


def test_logprobs_are_of_the_model_not_of_the_wishes():
    sequence = Sequence([0], Sampling(temperature=0, logprobs=2, logit_bias={3: 100.0}))

    ((token, logprob),) = choose(LOGITS[None], [sequence])

    assert token == 3
    assert logprob.logprob == pytest.approx(LOGITS[3].item(), abs=1e-5)
    assert [t for t, _ in logprob.top] == [0, 1]


@pytest.mark.parametrize(
    ("stops", "pieces", "shown", "hit"),
    [
        (["END"], ["a E", "N", "D b"], "a ", True),
        (["END"], ["a E", "N", "x"], "a ENx", False),
        (["aab"], ["aa", "aab"], "aa", True),
        (["ab", "b"], ["xa", "b"], "x", True),
        (["\n\n"], ["one\n", "two\n", "\n"], "one\ntwo", True),
        (["END"], ["ends with E"], "ends with E", False),
        ([], ["anything"], "anything", False),
    ],
)
def test_no_part_of_a_stop_string_is_shown(stops, pieces, shown, hit):
    text = Stops(stops)

    out = "".join([text.push(piece) for piece in pieces])

    assert text.hit is hit
    assert out + text.flush() == shown
