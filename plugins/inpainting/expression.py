"""Mask expressions: parsed by a small grammar and walked; nothing of them is executed as code.

::

    circle(x, 0.5, 0.3) & !feather(logo, 8)

Operators, from the weakest: ``|``, ``^``, ``&``, then ``+ -``, then ``* /``, then ``!`` and a
sign, as in Python. On masks, numbers in [0, 1], & is the smaller and | the larger of two, !a is
1 - a, a - b is a & !b, a ^ b is (a - b) | (b - a). Smaller and larger rather than products: then
a & a = a, and a soft edge stays as soft as it was drawn (Zadeh, "Fuzzy Sets", 1965). ``*`` is the
product, of two masks or of a mask and a number.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from artdiff import nearest

GRAMMAR = r"""
?start: either
?either: differ | either "|" differ -> larger
?differ: both | differ "^" both -> unlike
?both: sum | both "&" sum -> smaller
?sum: product | sum "+" product -> add | sum "-" product -> less
?product: unary | product "*" unary -> times | product "/" unary -> over
?unary: atom | "!" unary -> inverse | "-" unary -> negative | "+" unary
?atom: NUMBER -> number
     | TEXT -> text
     | NAME -> name
     | NAME "(" [argument ("," argument)*] ")" -> call
     | "(" either ")"
argument: [NAME "="] either
NAME: /[A-Za-z_][A-Za-z_0-9]*/
TEXT: /"[^"]*"|'[^']*'/
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
%ignore /\s+/
"""

Mask = np.ndarray
"""float32 (H, W) in [0, 1]: 1 = repaint, 0 = keep."""

Kind = Literal["mask", "number", "text"]
Value = Mask | float | str
Function = Callable[..., Mask]
"""``f(canvas, ...)``: the annotations of the others, ``Mask``, ``float`` or ``str``, are read."""

KINDS: Mapping[str, Kind] = {"Mask": "mask", "float": "number", "str": "text"}
TAKES: Mapping[str, tuple[Kind, ...]] = {
    **dict.fromkeys(["larger", "unlike", "smaller", "inverse"], ("mask",)),
    **dict.fromkeys(["add", "over", "negative"], ("number",)),
}
"""What an operator takes; the others take masks and numbers."""

LONGEST = 2000
"""More characters than these are no mask that anyone wrote by hand."""
DEEPEST = 100
LARGEST = 1e6
"""Shares and pixels are far smaller."""


class MaskError(ValueError):
    """An expression is wrong; one line, which says where."""


@cache
def _grammar() -> Lark:
    return Lark(GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


@cache
def parse(expression: str) -> Tree[Token]:
    """Read an expression.

    :raises MaskError: it is no expression; the message has the place.
    """
    if not expression.strip():
        raise MaskError("the mask is empty; write an expression, such as circle(0.5, 0.5, 0.3)")
    if len(expression) > LONGEST:
        raise MaskError(f"the mask has {len(expression)} characters; {LONGEST} are allowed")
    try:
        tree = _grammar().parse(expression)
    except UnexpectedInput as error:
        raise MaskError(_wrong(error, expression)) from None
    parts = [tree]
    for _ in range(DEEPEST):
        parts = [child for part in parts for child in part.children if isinstance(child, Tree)]
    if parts:
        raise MaskError(f"the mask is nested too deeply; {DEEPEST} levels are allowed")
    return tree


def _wrong(error: UnexpectedInput, expression: str) -> str:
    """What is wrong, with its place."""
    opened, plain = [], _without_texts(expression)
    for place, letter in enumerate(plain, 1):
        if letter in "\"'":
            return f"at column {place}: the text is not closed by another {letter}"
        if letter == "(":
            opened.append(place)
        elif letter == ")":
            if not opened:
                return f"at column {place}: ')' closes nothing"
            opened.pop()
    found = "" if isinstance(error, UnexpectedCharacters) else str(getattr(error, "token", ""))
    if not found and opened:
        return f"at column {opened[-1]}: '(' is not closed"
    if isinstance(error, UnexpectedCharacters):
        letter = expression[error.column - 1]
        hint = {"~": "; ! inverts a mask", "[": "", "%": ""}.get(letter, "")
        return f"at column {error.column}: {letter!r} means nothing in a mask{hint}"
    if not found:
        return f"at column {len(expression.rstrip()) + 1}: something is missing at the end"
    return f"at column {error.column}: {found!r} cannot stand here"


def _without_texts(expression: str) -> str:
    """The expression with dots in place of its quoted texts; quotes that open nothing stay."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", lambda text: "." * len(text[0]), expression)


def check(
    expression: str, names: Mapping[str, Kind], functions: Mapping[str, Function]
) -> set[str]:
    """Make sure that an expression is a mask of known things; give the names that it uses.

    :raises MaskError: a name is unknown, stands where something else is wanted, or a number is too
        large.
    """
    used: set[str] = set()
    found = _Checker(names, functions, used).kind(parse(expression))
    if found != "mask":
        raise MaskError(f"{expression.strip()} is a {found}, not a mask")
    return used


class _Checker:
    def __init__(
        self, names: Mapping[str, Kind], functions: Mapping[str, Function], used: set[str]
    ) -> None:
        self.names, self.functions, self.used = names, functions, used

    def kind(self, tree: Tree[Token]) -> Kind:
        """What a part of an expression is."""
        match tree.data:
            case "text":
                return "text"
            case "number":
                _check_number(float(str(tree.children[0])), tree)
                return "number"
            case "name":
                return self._name(tree)
            case "call":
                return self._call(tree)
        kinds: list[Kind] = [self.kind(child) for child in tree.children]  # type: ignore[arg-type]
        allowed = TAKES.get(tree.data, ("mask", "number"))
        for child, found in zip(tree.children, kinds, strict=True):
            if found not in allowed:
                hint = " (| joins masks)" if tree.data == "add" and found == "mask" else ""
                wanted = " or a ".join(allowed)
                raise MaskError(f"{_at(child)}: here a {wanted} must stand, not a {found}{hint}")
        if tree.data == "less" and kinds[0] != kinds[1]:
            raise MaskError(f"{_at(tree)}: - takes two masks or two numbers, not {kinds}")
        return "mask" if "mask" in kinds else "number"

    def _name(self, tree: Tree[Token]) -> Kind:
        name = str(tree.children[0])
        if name not in self.names:
            called = f"; {name}(...) is a function" if name in self.functions else ""
            raise MaskError(
                f"{_at(tree)}: unknown name {name!r}{called or nearest(name, self.names)}"
            )
        self.used.add(name)
        return self.names[name]

    def _call(self, tree: Tree[Token]) -> Kind:
        name, *arguments = tree.children
        if name not in self.functions:
            called = f"; {name} has no ()" if name in self.names else ""
            raise MaskError(
                f"{_at(tree)}: unknown function {str(name)!r}"
                f"{called or nearest(str(name), self.functions)}"
            )
        function = self.functions[str(name)]
        self.used.add(f"{name}()")
        try:
            bound = bind(function, [a for a in arguments if isinstance(a, Tree)])
        except TypeError:
            raise MaskError(f"{_at(tree)}: write {signature(str(name), function)}") from None
        wanted = parameters(function)
        for parameter, child in bound.items():
            found = self.kind(child)
            if found != wanted[parameter]:
                raise MaskError(
                    f"{_at(child)}: {parameter} of {name} is a {wanted[parameter]}, not a {found}"
                )
        return "mask"


def parameters(function: Function) -> dict[str, Kind]:
    """The parameters of a function, without its canvas, and what they take."""
    found = list(inspect.signature(function).parameters.values())[1:]
    return {p.name: KINDS[str(p.annotation)] for p in found}


def signature(name: str, function: Function) -> str:
    """How a function is called: ``circle(x, y, r)``."""
    found = list(inspect.signature(function).parameters.values())[1:]
    plain = [p.name if p.default is p.empty else f"{p.name}={p.default:g}" for p in found]
    return f"{name}({', '.join(plain)})"


def bind(function: Function, arguments: list[Tree[Token]]) -> dict[str, Tree[Token]]:
    """Which parameter each argument is for. :raises TypeError: they do not fit."""
    places: list[Any] = []
    named: dict[str, Any] = {}
    for argument in arguments:
        key, value = argument.children
        if key is None and not named:
            places.append(value)
        elif key is None or str(key) in named:
            raise TypeError
        else:
            named[str(key)] = value
    found = inspect.signature(function).bind(None, *places, **named).arguments
    return dict(list(found.items())[1:])


def evaluate(
    expression: str,
    names: Callable[[str], Value],
    functions: Mapping[str, Function],
    canvas: Any,
) -> Mask:
    """The mask of an expression that `check` has passed, float32 (H, W) in [0, 1].

    :param names: gives the mask or number of a name.
    :param canvas: the first argument of every function.
    :raises MaskError: a number is too large, or does not fit.
    """

    def value(tree: Any) -> Any:
        if tree.data == "call":
            function = functions[str(tree.children[0])]
            bound = bind(function, [a for a in tree.children[1:] if a is not None])
            given = {key: value(child) for key, child in bound.items()}
            for key, child in bound.items():
                if isinstance(given[key], float):
                    _check_number(given[key], child)
            return function(canvas, **given)
        if tree.data in ("name", "number", "text"):
            word = str(tree.children[0])
            if tree.data == "name":
                return names(word)
            return float(word) if tree.data == "number" else word[1:-1]
        return _combine(tree, [value(child) for child in tree.children])

    return np.clip(value(parse(expression)), 0, 1, dtype=np.float32)


def _combine(tree: Tree[Token], parts: list[Any]) -> Any:
    """The result of an operator."""
    a, b = parts[0], parts[-1]
    match tree.data:
        case "larger":
            return np.maximum(a, b)
        case "smaller":
            return np.minimum(a, b)
        case "unlike":
            return np.maximum(np.minimum(a, 1 - b), np.minimum(b, 1 - a))
        case "inverse":
            return 1 - a
        case "negative":
            return -a
        case "add":
            return a + b
        case "less":
            return np.minimum(a, 1 - b) if isinstance(a, np.ndarray) else a - b
        case "times":
            product = a * b
            return np.clip(product, 0, 1) if isinstance(product, np.ndarray) else product
    if b == 0:
        raise MaskError(f"{_at(tree)}: division by 0")
    return a / b


def _check_number(number: float, tree: Any) -> None:
    """Make sure that a number is one that shapes can reckon with. :raises MaskError: it is not."""
    if not abs(number) <= LARGEST:
        raise MaskError(
            f"{_at(tree)}: the number {number:g} is too large; {LARGEST:.0f} is the largest"
        )


def _at(tree: Any) -> str:
    return f"at column {tree.meta.column}"
