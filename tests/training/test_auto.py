"""What ``auto`` resolves to."""

import pytest

from hypotez.training.auto import batch_size, epochs, hold, peak_rate, resolve


@pytest.mark.parametrize(
    ("examples", "expected"),
    [(1, 25), (4, 25), (5, 20), (10, 10), (33, 3), (34, 3), (100, 3), (8333, 3), (8334, 2), (30_000, 1)],
)
def test_epochs_follow_openais_rule(examples, expected):
    assert epochs(examples) == expected


@pytest.mark.parametrize(
    ("examples", "expected"), [(1, 1), (60, 1), (200, 1), (500, 2), (1000, 5), (3200, 16), (10_000, 20), (100_000, 64)]
)
def test_batches_grow_with_the_set(examples, expected):
    assert batch_size(examples, epochs(examples)) == expected


def test_steps_shrink_with_the_models_width():
    assert peak_rate(2048, full=False) == pytest.approx(5e-4)
    assert peak_rate(256, full=False) == pytest.approx(2.5e-3, rel=0.02)
    assert peak_rate(2048, full=True) == pytest.approx(5e-5)


def test_what_the_user_gave_stays():
    given = resolve(
        n_epochs=2, batch=5, multiplier=0.5, beta=0.3, sft_weight=0.7, seed=9, examples=60, hidden_size=2048,
        full=False, method_rate=1.0,
    )  # fmt: skip

    assert given.as_dict() == {
        "n_epochs": 2,
        "batch_size": 5,
        "learning_rate_multiplier": 0.5,
        "rate": 2.5e-4,
        "beta": 0.3,
        "sft_weight": 0.7,
        "seed": 9,
    }


def test_a_batch_is_never_larger_than_the_set():
    auto = resolve(
        n_epochs="auto", batch=50, multiplier="auto", beta=0.1, sft_weight=0.0, seed=0, examples=12, hidden_size=64,
        full=False, method_rate=1.0,
    )  # fmt: skip

    assert auto.batch_size == 12
    assert auto.n_epochs == 8


@pytest.mark.parametrize(
    ("method", "expected"),
    [("supervised", (0.1, 0.0)), ("dpo", (0.1, 1.0)), ("kto", (0.1, 1.0)), ("reinforcement", (0.04, 0.0))],
)
def test_preferences_are_held_by_the_replies_to_be_given(method, expected):
    assert hold("auto", "auto", method) == expected
    assert hold(0.5, 0.0, method) == (0.5, 0.0)
