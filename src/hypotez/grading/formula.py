"""``calculate_output`` of a multi grader: numbers, the graders' names, + - * / ^ and eight functions. Pure.

Python's parser reads it, and only the kinds of node named here are followed: nothing is ever evaluated as Python.
"""

import ast
import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

from hypotez.errors import InvalidRequest

FUNCTIONS: Mapping[str, tuple[Callable[..., float], int | None]] = {  # what to call, and how many values it takes
    "min": (min, None),
    "max": (max, None),
    "abs": (abs, 1),
    "floor": (math.floor, 1),
    "ceil": (math.ceil, 1),
    "exp": (math.exp, 1),
    "sqrt": (math.sqrt, 1),
    "log": (math.log, 1),
}
_OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,  # of floats: a large power is an error, not minutes of digits
}


def check(formula: str, names: Collection[str]) -> None:
    """Raises ``InvalidRequest`` for what is no formula, or names what is no grader."""
    for node in ast.walk(_parsed(formula)):
        if isinstance(node, ast.Name) and node.id not in names and node.id not in FUNCTIONS:
            raise _wrong(formula, f"there is no grader '{node.id}'; there are {', '.join(names)}")


def calculate(formula: str, values: Mapping[str, float]) -> float:
    """Raises ``InvalidRequest`` where the numbers give none: a division by zero, the log of a negative one."""
    try:
        result = float(_value(_parsed(formula).body, values))
    except (ArithmeticError, ValueError, KeyError) as exc:
        raise _wrong(formula, f"{type(exc).__name__}: {exc}") from exc
    if not math.isfinite(result):
        raise _wrong(formula, f"the result is {result}")
    return result


@lru_cache(maxsize=256)
def _parsed(formula: str) -> ast.Expression:
    try:
        tree = ast.parse(formula.strip().replace("^", "**"), mode="eval")
        _known(tree.body, formula, depth=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as exc:
        raise _wrong(formula, str(exc)) from exc
    return tree


def _known(node: ast.expr, formula: str, depth: int) -> None:
    """Only what a formula may hold, and not nested beyond reading."""
    if depth > 100:
        raise _wrong(formula, "it is nested too deep")
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _known(left, formula, depth + 1)
            _known(right, formula, depth + 1)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _known(operand, formula, depth + 1)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            float(value)
        case ast.Name():
            pass
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            wanted = FUNCTIONS[name][1]
            if not args or (wanted is not None and len(args) != wanted):
                raise _wrong(formula, f"{name} takes {wanted or 'one or more'} value(s), not {len(args)}")
            for argument in args:
                _known(argument, formula, depth + 1)
        case _:
            raise _wrong(formula, f"use numbers, names of graders, + - * / ^ and the functions {', '.join(FUNCTIONS)}")


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, values)
            return -value if isinstance(op, ast.USub) else value
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Call(func=ast.Name(id=name), args=args):
            found = [_value(argument, values) for argument in args]
            return float(found[0] if len(found) == 1 and FUNCTIONS[name][1] is None else FUNCTIONS[name][0](*found))
        case ast.Name(id=name):
            return values[name]
        case _:
            raise AssertionError(f"{node} passed the check")


def _wrong(formula: str, why: str) -> InvalidRequest:
    shown = formula if len(formula) <= 120 else formula[:117] + "..."
    return InvalidRequest(f"Invalid calculate_output '{shown}': {why}.", code="invalid_grader")
