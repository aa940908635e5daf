"""Keyframes say the same thing in every unit, and nonsense says what to write instead."""

import pickle

import pytest

from artdiff.curve import EASINGS, Curve, Position, ease, locate


@pytest.mark.parametrize("easing", EASINGS)
def test_easings_go_from_0_to_1_and_never_back(easing):
    values = [ease(easing, i / 50) for i in range(51)]
    assert (values[0], values[-1]) == (0, 1)
    assert values == sorted(values)


def test_easings_are_what_they_are_called():
    assert [ease(e, 0.25) for e in EASINGS] == pytest.approx([0.25, 0.0625, 0.4375, 0.14644661, 0])
    with pytest.raises(ValueError, match="did you mean 'ease-in-out'"):
        ease("ease-inout", 0.5)


@pytest.mark.parametrize(("text", "frame"), [
    ("12", 12), (" 0 ", 0), ("0%", 0), ("50%", 12), ("100%", 24), ("12.5 %", 3),
    ("1.5s", 15), ("2 s", 20), ("300", 300),
])
def test_positions(text, frame):
    assert Position.parse(text).frame(count=25, fps=10) == frame


@pytest.mark.parametrize("text", ["7", "1000000", "12.3456789s", "33.333333%", "0.1"])
def test_positions_are_written_as_they_are_read(text):
    """A frame folder remembers them: no digit may be lost."""
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize(("text", "said"), [
    ("abc", "'abc' is not a frame; write 12"), ("", "is not a frame"), ("1e3", "is not a frame"),
    ("-3", "frame -3 lies before the film"), ("101%", "its last frame is 100%"),
])
def test_wrong_positions(text, said):
    with pytest.raises(ValueError, match=said):
        Position.parse(text)


def test_locate_at_and_outside_the_keyframes():
    frames = [2.0, 4.0, 8.0]
    assert locate(frames, 0) == (0, 0, 0)
    assert locate(frames, 2) == (0, 1, 0)
    assert locate(frames, 6) == (1, 2, 0.5)
    assert locate(frames, 8) == locate(frames, 99) == (2, 2, 0)


def values(curve, count=11, fps=10):
    return [Curve.parse(curve).at(i, count, fps) for i in range(count)]


def test_curves():
    assert values(4) == [4.0] * 11
    assert values({"0": 0, "100%": 10}) == pytest.approx(range(11))
    assert values({"100%": 10, "0": 0}) == pytest.approx(range(11))  # order does not matter
    assert values({"2": 1, "0.4s": 3}) == pytest.approx([1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3])
    assert values({"0": 1, "5": 2, "easing": "hold"}) == [1] * 5 + [2] * 6
    assert values({"0": 0, "20": 20})[10] == pytest.approx(10)  # a keyframe behind the end pulls


def test_the_later_of_two_keyframes_at_one_place_counts():
    assert values({"0": 5, "0%": 1}) == [1] * 11
    assert values({"0": 1, "0%": 5}) == [5] * 11


def test_whole_numbers_are_rounded():
    curve = Curve(Curve.parse({"0": 0, "10": 2}).keys, whole=True)
    found = [curve.at(i, 11, 10) for i in range(11)]
    assert found == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert all(isinstance(value, int) for value in found)


@pytest.mark.parametrize("curve", [
    3.5, {"0": 1.0, "33.3%": 2.0, "0.25s": 7.5, "easing": "ease-in"},
])
def test_plain_is_the_same_curve(curve):
    again = Curve.parse(Curve.parse(curve).plain())
    assert values(again) == values(curve)
    assert pickle.loads(pickle.dumps(again)) == again


@pytest.mark.parametrize(("wrong", "said"), [
    (float("nan"), "number or a table"), (float("inf"), "number or a table"),
    (10**400, "number or a table"), (True, "number or a table"), ("4", "number or a table"),
    ([1, 2], "number or a table"), ({}, "at least one"), ({"easing": "hold"}, "at least one"),
    ({"abc": 1}, "'abc' is not a frame"), ({"0": "x"}, "keyframe 0: must be a number"),
    ({"0": True}, "keyframe 0"), ({"0": float("nan")}, "keyframe 0"),
    ({"0": 1, "easing": "ease-inout"}, "did you mean 'ease-in-out'"),
])
def test_wrong_curves(wrong, said):
    with pytest.raises(ValueError, match=said):
        Curve.parse(wrong)
