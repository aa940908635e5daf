"""The frame sources that come with artdiff: loops close, stops are met, noise keeps its length."""

import pytest
import torch

from artdiff.curve import EASINGS
from artdiff.preset import Preset
from artdiff.random import Noise
from artdiff.starting import slerp
from artdiff.timeline import Score, Start


@pytest.fixture
def make(registry):
    def make(source, count, seed=5, prompts=None, easing="linear", **options):
        kind = registry.get("frame_sources", source)
        preset = Preset.model_validate({
            "seed": seed, "prompts": prompts or {"0": "a"}, "easing": easing,
            "frames": {"count": count},
        })
        return kind(kind.Options(**options), Score(preset))

    return make


@pytest.mark.parametrize("source", ["still", "prompt_animation", "latent_interpolation"])
def test_a_source_is_pure_and_as_long_as_asked(make, source):
    film, again = make(source, 7), make(source, 7)
    assert len(film) == 7
    jobs = [film[i] for i in range(7)]
    assert [job.index for job in jobs] == list(range(7))
    assert [again[i] for i in reversed(range(7))] == jobs[::-1]


def test_stills_take_one_seed_after_the_other(make):
    film = make("still", 4, seed=2**64 - 2, prompts={"0": "a", "2": "b"}, easing="hold")
    seeds = [2**64 - 2, 2**64 - 1, 0, 1]
    assert [film[i].start for i in range(4)] == [Start.at(seed) for seed in seeds]
    assert [film[i].seed for i in range(4)] == seeds  # ancestral noise is its own as well
    assert [film[i].prompts[0][0] for i in range(4)] == ["a", "a", "b", "b"]


def test_fixed_noise_stays(make):
    film = make("prompt_animation", 9, prompts={"0": "a", "100%": "b"})
    assert {film[i].start for i in range(9)} == {Start.at(5)}
    assert {film[i].seed for i in range(9)} == {5}
    assert dict(film[4].prompts) == pytest.approx({"a": 0.5, "b": 0.5})


def test_travelling_noise_meets_a_seed_every_few_frames(make):
    film = make("prompt_animation", 9, noise="travel", travel_frames=4)
    starts = [film[i].start for i in range(9)]
    assert [(s.seed, s.towards, s.t) for s in starts[:6]] == [
        (5, 6, 0), (5, 6, 0.25), (5, 6, 0.5), (5, 6, 0.75), (6, 7, 0), (6, 7, 0.25)
    ]
    assert (starts[8].seed, starts[8].t) == (7, 0)


@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize(("count", "stops"), [(12, 3), (10, 4), (7, 7), (96, 5), (5, 9)])
def test_a_loop_closes_exactly(make, count, stops, easing):
    """The frame after the last one would be frame 0, and the one after that frame 1."""
    film = make("latent_interpolation", count, stops=stops, ease=easing)
    assert film.start(count) == film.start(0) == Start(5, 6, 0.0)
    assert film.start(count + 1) == film.start(1)
    assert all(0 <= film.start(i).t < 1 for i in range(count))


def test_stops_are_met_exactly(make):
    film = make("latent_interpolation", 12, stops=3)
    assert [(film.start(i).seed, film.start(i).t) for i in (0, 4, 8)] == [(5, 0), (6, 0), (7, 0)]
    assert film.start(8).towards == 5  # and then home
    odd = make("latent_interpolation", 96, stops=7)
    met = {odd.start(i).seed for i in range(96) if odd.start(i).t == 0}
    assert met == {5}  # 96 frames do not fall on the other six


def test_a_one_way_trip_ends_at_the_last_seed(make):
    film = make("latent_interpolation", 10, seeds=(3, 1, 4, 1), loop=False)
    stops = [film.start(i) for i in (0, 3, 6, 9)]
    assert [(s.seed, s.t) for s in stops] == [(3, 0), (1, 0), (4, 0), (1, 0)]
    assert make("latent_interpolation", 1, seeds=(3, 4), loop=False).start(0).t == 0


def test_one_stop_is_a_film_that_stands_still(make):
    """The noise between a seed and itself is that seed's, to the bit."""
    film = make("latent_interpolation", 5, stops=1)
    like = torch.empty(1, 4, 8, 8)
    first = Noise([5]).normal(like, "start")
    for i in range(5):
        start = film.start(i)
        a, b = (Noise([seed]).normal(like, "start") for seed in (start.seed, start.towards))
        assert torch.equal(slerp(a, b, torch.tensor([start.t])), first)


@pytest.mark.parametrize("options", [{"seeds": (2**64,)}, {"stops": 0}, {"sead": (1,)}])
def test_wrong_options(make, options):
    with pytest.raises(ValueError):
        make("latent_interpolation", 4, **options)
