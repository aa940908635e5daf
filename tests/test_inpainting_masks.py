"""Mask expressions: what they mean, and that each mistake is told with its place."""

import numpy as np
import pytest

from artdiff_plugins.inpainting.expression import MaskError, check, evaluate, parse
from artdiff_plugins.inpainting.shapes import FUNCTIONS, Canvas

HEIGHT, WIDTH = 40, 60
A = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
B = np.ascontiguousarray(A[::-1, ::-1]) ** 2
NAMES = {"a": A, "b": B, "x": 0.25, "half": 0.5, "far": -1e7}
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
PICTURE[:10] = (135, 206, 235)


def mask(expression):
    kinds = {k: "number" if isinstance(v, float) else "mask" for k, v in NAMES.items()}
    check(expression, kinds, FUNCTIONS)
    canvas = Canvas(HEIGHT, WIDTH, PICTURE, lambda words: np.full_like(A, len(words) / 10))
    return evaluate(expression, NAMES.__getitem__, FUNCTIONS, canvas)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("a & b", np.minimum(A, B)),
        ("a | b", np.maximum(A, B)),
        ("!a", 1 - A),
        ("a - b", np.minimum(A, 1 - B)),
        ("a ^ b", np.maximum(np.minimum(A, 1 - B), np.minimum(B, 1 - A))),
        ("a * b", A * B),
        ("half * a", A / 2),
        ("(half + 2) * a", np.minimum(2.5 * A, 1)),
        ("a & a", A),
        ("!!a", A),
        ("invert(a)", 1 - A),
        ("!(a & b)", np.maximum(1 - A, 1 - B)),
        ("a | b & !a", np.maximum(A, np.minimum(B, 1 - A))),
        ("a ^ b & a", np.maximum(np.minimum(A, 1 - np.minimum(A, B)),
                                 np.minimum(np.minimum(A, B), 1 - A))),
        ("a & b - a", np.minimum(A, np.minimum(B, 1 - A))),
        ("threshold(a, 1 - x)", (A >= 0.75)),
        ("text('abc')", np.full_like(A, 0.3)),
    ],
)  # fmt: skip
def test_operators(expression, wanted):
    found = mask(expression)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_shapes_lie_where_they_are_said_to():
    disc = mask("circle(x, half, 0.2)")
    assert disc[20, 15] == 1 and disc[20, 24] == 0 and disc.sum() == pytest.approx(201, rel=0.05)
    assert mask("rectangle(0, 0, half, 1)").mean() == 0.5
    assert mask("border(0.1)")[:, 4:-4][4:-4].max() == 0 and mask("border(0.1)")[3].min() == 1
    assert mask("ellipse(.5, .5, .5, .5)").mean() == pytest.approx(np.pi / 4, rel=0.02)
    ramp = mask("linear(0, 0, 1, 0)")
    np.testing.assert_allclose(ramp[0], (np.arange(WIDTH) + 0.5) / WIDTH, atol=1e-6)
    ring = mask("radial(half, half, 0.1, 0.4)")
    assert ring[20, 30] == 1 and ring[0, 0] == 0 and 0 < ring[20, 40] < 1
    assert (mask('colour("skyblue")') == (np.arange(HEIGHT) < 10)[:, None]).all()


def test_parts_of_a_colour_are_clipped_as_in_css():
    for said in ("rgb(300, 0, 0)", "rgb(300%, 0%, 0%)", "hsl(0, 500%, 50%)"):
        assert not mask(f'colour("{said}")').any()
    assert (mask('colour("rgb(300, 999, 300)", 1)') == mask('colour("white", 1)')).all()
    assert mask('colour("rgb(300, 999, 300)", 0.5)')[:10].all()


def test_changes_take_pixels():
    box = mask("rectangle(0.25, 0.25, 0.75, 0.75)")
    assert mask("grow(rectangle(.25,.25,.75,.75), 3)").sum() > box.sum()
    assert mask("shrink(rectangle(.25,.25,.75,.75), 3)").sum() == 24 * 14
    soft = mask("feather(rectangle(.25,.25,.75,.75), 4)")
    assert 0 < soft[20, 13] < soft[20, 16] < 1 and soft[20, 10] == 0 and soft[20, 19] == 1
    moved = mask("shift(rectangle(.25,.25,.75,.75), 5, -2)")
    np.testing.assert_array_equal(moved[:-2, 5:], box[2:, :-5])
    half = mask("shift(rectangle(.25,.25,.75,.75), 0.5, 0)")
    assert half[20, 15] == pytest.approx(0.5)
    assert (mask("feather(a, 0)") == A).all()


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "empty"),
        ("circle(0.5, 0.5", "column 7: '(' is not closed"),
        ("(a & (b)", "column 1: '(' is not closed"),
        ("a) & b", "column 2: ')' closes nothing"),
        ("circl(0.5, 0.5, 0.1)", "unknown function 'circl'; did you mean 'circle'"),
        ("haf * a", "column 1: unknown name 'haf'; did you mean 'half'"),
        ("a & circle", "column 5: unknown name 'circle'; circle(...) is a function"),
        ("a(3)", "unknown function 'a'; a has no ()"),
        ("circle(0.5)", "write circle(x, y, r)"),
        ("circle(0.5, 0.5, 0.1, z=3)", "write circle(x, y, r)"),
        ("circle(x=1, 0.5, 0.1)", "write circle(x, y, r)"),
        ("circle(0.5, a, 0.1)", "column 13: y of circle is a number, not a mask"),
        ("feather(3, 3)", "mask of feather is a mask, not a number"),
        ("a + b", "| joins masks"),
        ("a - 0.5", "two masks or two numbers"),
        ("0.5", "0.5 is a number, not a mask"),
        ("a & 0.5", "column 5: here a mask must stand, not a number"),
        ("a &", "something is missing at the end"),
        ("a b", "column 3: 'b' cannot stand here"),
        ("~a", "! inverts"),
        ("text('sky)", "not closed by another '"),
        ("__import__('os')", "unknown function '__import__'"),
        ("a.__class__", "'.' means nothing"),
        ("a" + " & a" * 600, "2000 are allowed"),
        ("1e999 * a", "column 1: the number inf is too large; 1000000 is the largest"),
        ("linear(0, 0, 1e200, 0)", "column 14: the number 1e+200 is too large"),
        ("radial(half, half, 0, 1e999)", "column 23: the number inf is too large"),
        ("circle(0, 0, 1000001)", "column 14: the number"),
    ],
)
def test_mistakes_are_told_with_their_place(expression, said):
    with pytest.raises(MaskError) as caught:
        mask(expression)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1 / 0 * a", "division by 0"),
        ("grow(a, -1)", "px must lie between"),
        ("feather(a, 99999)", "px must lie between"),
        ("linear(0.5, 0.5, 0.5, 0.5)", "the same"),
        ("linear(0, 0, 1e-200, 0)", "the same"),
        ("linear(0, 0, 1 / 1e-200, 0)", r"column 14: the number 1e\+200 is too large"),
        ("circle(far, 0, 1)", r"column 8: the number -1e\+07 is too large"),
        ("radial(0.5, 0.5, 0.4, 0.1)", "outer must be larger"),
        ("colour('blurple')", "no colour"),
    ],
)
def test_numbers_that_do_not_fit(expression, said):
    with pytest.raises(MaskError, match=said):
        mask(expression)


def test_deep_nesting_is_no_crash():
    parse("(" * 900 + "a" + ")" * 900)
    assert mask("!" * 90 + "a").shape == A.shape
    with pytest.raises(MaskError, match="too deeply"):
        mask("!" * 1500 + "a")


def test_a_preset_cannot_ask_for_a_name_of_a_billion_digits():
    from artdiff_plugins.inpainting.term import NUMBERED

    assert NUMBERED.search("mask-%04d.png") and NUMBERED.search("mask-%d.png")
    assert not NUMBERED.search("mask-%0999999999d.png")
