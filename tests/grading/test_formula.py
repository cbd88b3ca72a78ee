"""calculate_output: what it gives, and what it refuses."""

import pytest

from hypotez.errors import InvalidRequest
from hypotez.grading.formula import calculate, check

VALUES = {"a": 0.5, "b": 2.0, "min": 7.0}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("a", 0.5),
        ("(a + b) / 2", 1.25),
        ("0.5 * a - -b", 2.25),
        ("2 * b ^ 2", 8.0),
        ("b ^ 3 ^ 2", 512.0),
        ("min(a, b, 1) + max(a)", 1.0),
        ("abs(-a) + floor(b) + ceil(a)", 3.5),
        ("exp(0) + sqrt(4) + log(1)", 3.0),
        ("min + 1", 8.0),
    ],
)
def test_a_formula_gives_its_number(formula, value):
    check(formula, list(VALUES))

    assert calculate(formula, VALUES) == pytest.approx(value)


@pytest.mark.parametrize(
    "formula",
    ["", "a b", "c + 1", "a.real", "a[0]", "__import__('os')", "(lambda: 1)()", "[a]", "'a' * 9", "a if b else a",
     "a < b", "a // b", "a % b", "pow(a, 2)", "sqrt(a, b)", "min()", "max(x=1)", "True", "1j",
     "(" * 300 + "a" + ")" * 300, "-" * 5000 + "a", "9" * 5000, "a + " * 400 + "a"],
)  # fmt: skip
def test_anything_else_is_refused(formula):
    with pytest.raises(InvalidRequest, match="calculate_output"):
        check(formula, list(VALUES))


@pytest.mark.parametrize("formula", ["a / 0", "log(0)", "sqrt(-1)", "(0 - 1) ^ 0.5", "exp(1000)", "9.0^99^99"])
def test_a_formula_without_a_result_says_so(formula):
    with pytest.raises(InvalidRequest, match="calculate_output"):
        calculate(formula, VALUES)
