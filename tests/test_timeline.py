"""What a frame is made from is a pure function of its number, and travels to any worker."""

import json
import pickle

import numpy as np
import pytest
import torch

from artdiff.curve import Curve
from artdiff.preset import Preset
from artdiff.preset.prompt import Prompt
from artdiff.timeline import FrameJob, Score, Start, Term, TermTrack, blend


def score(prompts, count=11, fps=10.0, easing="linear", terms=(), **values):
    frames = {"count": count, "fps": fps}
    preset = {"prompts": prompts, "frames": frames, "easing": easing, **values}
    return Score(Preset.model_validate(preset), terms)


def mix(*parts):
    return tuple(Prompt(text=text, weight=float(weight)) for text, weight in parts)


def test_blend_shares_sum_to_one_and_equal_texts_are_added():
    a, b = mix(("fox", 2), ("cat", 6)), mix(("fox", 1), ("owl", 3))
    for t in (0.0, 0.1, 0.5, 1 / 3, 1.0):
        assert sum(share for _, share in blend(a, b, t)) == pytest.approx(1)
    assert dict(blend(a, b, 0.5)) == pytest.approx({"fox": 0.25, "cat": 0.375, "owl": 0.375})
    assert blend(a, a, 0.3) == tuple((t, pytest.approx(s)) for t, s in blend(a, a, 0.0))


def test_at_a_keyframe_only_its_own_prompt_is_there():
    """So a film meets its prompts exactly, and needs no second text encoding there."""
    film = score({"0": "a", "50%": "b", "100%": "a"})
    assert [film.prompts(i) for i in (0, 5, 10)] == [(("a", 1.0),), (("b", 1.0),), (("a", 1.0),)]
    assert dict(film.prompts(4)) == pytest.approx({"a": 0.2, "b": 0.8})


@pytest.mark.parametrize("keys", [("0", "5", "10"), ("0%", "50%", "100%"), ("0s", "0.5s", "1s")])
def test_positions_mean_the_same_in_every_unit(keys):
    film = score(dict(zip(keys, "abc", strict=True)))
    same = score({"0": "a", "5": "b", "10": "c"})
    assert [film.prompts(i) for i in range(11)] == [same.prompts(i) for i in range(11)]


def test_before_the_first_and_after_the_last_keyframe_nothing_changes():
    film = score({"3": "a", "7": "b"})
    assert film.prompts(0) == film.prompts(3) == (("a", 1.0),)
    assert film.prompts(7) == film.prompts(10) == (("b", 1.0),)


def test_a_keyframe_behind_the_end_is_headed_for():
    film = score({"0": "a", "20": "b"})
    assert dict(film.prompts(10)) == pytest.approx({"a": 0.5, "b": 0.5})


def test_hold_gives_each_picture_its_own_prompt():
    film = score({"0": "a", "1": "b", "2": "c"}, easing="hold", count=3)
    assert [film.prompts(i)[0][0] for i in range(3)] == ["a", "b", "c"]


def test_without_a_prompt_the_text_is_empty():
    assert score({}).prompts(5) == (("", 1.0),)


def test_a_job_has_the_values_of_its_frame():
    track = TermTrack("t", Curve.parse({"0": 0, "10": 5}), {"x": Curve.parse({"0": 1, "10": 2}),
                                                         "mode": "soft"})
    film = score({"0": "a"}, terms=(track,), seed=7, negative="ugly",
                 guidance={"scale": {"0": 1, "10": 3}, "rescale": 0.5})
    job = film.job(5, film.prompts(5), Start.at(9))
    assert job == FrameJob(5, 7, (("a", 1.0),), "ugly", Start(9, 9, 0.0), 2.0, 0.5,
                           (Term("t", 2.5, {"x": 1.5, "mode": "soft"}),))
    assert film.job(5, film.prompts(5), Start.at(9), seed=8).seed == 8
    assert film.job(5, film.prompts(5), Start.at(9)) == job


def test_a_job_travels_and_can_be_written_down():
    film = score({"0": "a", "9": "b"}, terms=(TermTrack("t", Curve.parse(1.0), {"x": [1, 2]}),))
    job = film.job(4, film.prompts(4), Start(1, 2, 1 / 3))
    assert pickle.loads(pickle.dumps(job)) == job
    record = json.loads(json.dumps(job.record()))
    assert record["start"] == [1, 2, 0.333333]
    assert record["terms"] == {"t": {"weight": 1, "x": [1, 2]}}
    with pytest.raises(AttributeError):
        job.seed = 3


def test_seeds_go_round_the_end_of_64_bits():
    film = score({}, seed=2**64 - 2)
    assert [film.seed_after(i) for i in range(4)] == [2**64 - 2, 2**64 - 1, 0, 1]
    assert score({}, seed=-5).seed_after(3) == -2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Start.at(1.0), "a seed is a whole number, an int, not 1.0"),
        (lambda: Start(1, np.int64(2), 0.5), "a seed is a whole number"),
        (lambda: Start(1, 2, 1.5), "is 0 to 1, not 1.5"),
        (lambda: Start(1, 2, float("nan")), "is 0 to 1, not nan"),
        (lambda: Start(1, 2, torch.tensor(0.5)), "is 0 to 1, not tensor"),
        (lambda: FrameJob(0, 1, (), "", 1), r"begins at a Start, such as Start.at\(5\), not 1"),
    ],
)
def test_what_a_frame_cannot_start_from_is_told_where_it_is_made(make, said):
    with pytest.raises(ValueError, match=said):
        make()
