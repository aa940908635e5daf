"""The plugin's own tests; they need artdiff and this package installed, but no model."""

import numpy as np
import pytest
import torch

import artdiff
from artdiff.testing import check_plugin


@pytest.fixture(scope="module")
def registry():
    return artdiff.create_registry(artdiff.Selection(names=("mirrors",)))


def test_it_keeps_what_artdiff_relies_on():
    """Rows apart, no shared generator, nothing in place, ...: see docs/plugin-testing.md."""
    assert [str(finding) for finding in check_plugin("artdiff_mirrors")] == []


def job(seed, index):
    return artdiff.FrameJob(index, seed, (("a fox", 1.0),), "", artdiff.Start.at(seed))


@pytest.mark.parametrize(("axis", "along"), [("left-right", 3), ("top-bottom", 2)])
@pytest.mark.parametrize("size", [4, 5])
def test_mirror_is_symmetric_and_keeps_a_half(registry, axis, along, size):
    kind = registry.get("guidance", "mirror")
    x0 = torch.arange(2.0 * 3 * size * size).reshape(2, 3, size, size)
    seen = kind(kind.Options(axis=axis), None)(x0, x0, None, None)
    assert torch.equal(seen, seen.flip(along))
    assert torch.equal(seen.narrow(along, 0, size // 2), x0.narrow(along, 0, size // 2))


def test_grain_depends_on_seed_and_frame_alone(registry):
    kind = registry.get("effects", "grain")
    grey = np.full((8, 8, 3), 128, np.uint8)
    grain = kind(kind.Options(strength=0.1))
    assert np.array_equal(grain(grey, job(1, 5)), grain(grey, job(1, 5)))
    assert not np.array_equal(grain(grey, job(1, 5)), grain(grey, job(1, 6)))
    assert not np.array_equal(grain(grey, job(1, 5)), grain(grey, job(2, 5)))
    assert grain(grey, job(1, 5)).dtype == np.uint8


def test_no_grain_changes_nothing(registry):
    kind = registry.get("effects", "grain")
    grey = np.full((8, 8, 3), 128, np.uint8)
    assert np.array_equal(kind(kind.Options(strength=0))(grey, job(1, 5)), grey)


def test_pendulum_turns_back(registry):
    from artdiff.preset import Preset

    kind = registry.get("frame_sources", "pendulum")
    score = artdiff.Score(Preset(seed=3, frames={"count": 8}))
    source = kind(kind.Options(towards=9, reach=0.5), score)
    ways = [source[i].start.t for i in range(len(source))]
    assert ways[0] == 0 and max(ways) == ways[4] == 0.5
    assert ways[1:4] == pytest.approx(ways[:4:-1])
    assert {(source[i].start.seed, source[i].start.towards) for i in range(8)} == {(3, 9)}


def test_the_preset_resolves(registry):
    preset = registry.get("presets", "mirror-dance").read_text("utf-8")
    assert "[terms.mirror]" in preset and 'source = "pendulum"' in preset
