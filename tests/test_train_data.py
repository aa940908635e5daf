"""What a training sees: pictures and latents on the disk, and which of them a batch takes."""

from types import SimpleNamespace

import numpy as np
import pytest
from training import Counting, Shapes, codec_recipe, denoiser_recipe

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.autoencoder import AutoencoderTask, load_codec
from artdiff.train.data import (
    CHUNK,
    dataset_key,
    encode_latents,
    prepare,
    prepare_latents,
    to_pictures,
    weights_of,
)
from artdiff.train.draws import batch_indices, weighted_indices


class Places(Shapes):
    """Pictures of which each pixel says where it is."""

    def picture(self, index):
        rows, columns = np.mgrid[:32, :32]
        return np.stack([rows, columns, 0 * rows], 2).astype(np.uint8)


def test_aligned_crops_begin_on_the_grid_and_are_not_mirrored(tmp_path):
    recipe = codec_recipe()
    seen = {}
    for align in (1, 8):
        part = recipe.autoencoder.model_copy(update={"align": align, "halved": 0.0})
        task = AutoencoderTask(
            recipe.model_copy(update={"autoencoder": part}), Places(), tmp_path, tmp_path
        )
        crops = [to_pictures(task.images(step)) for step in range(20)]
        seen[align] = {(tuple(c[0, 0, :2]), tuple(c[0, -1, :2])) for some in crops for c in some}
    assert len(seen[1]) > 60 and any(left[1] > right[1] for left, right in seen[1])
    corners = {left for left, _ in seen[8]}
    assert all(left[1] < right[1] for left, right in seen[8])
    assert corners == {(row, column) for row in (0, 8, 16) for column in (0, 8, 16)}


def test_picture_cache_resumes(tmp_path):
    dataset = Counting(Counting.Options(size=8))
    count = 2 * CHUNK + 10
    first = prepare(dataset, count, tmp_path, workers=0)
    assert first.shape == (count, 8, 8, 3)
    folder = tmp_path / dataset_key(dataset)
    (folder / "pictures.done" / str(CHUNK)).unlink()
    np.load(folder / "pictures.npy", mmap_mode="r+")[CHUNK : 2 * CHUNK] = 0
    dataset.asked.clear()
    again = prepare(dataset, count, tmp_path, workers=0)
    assert set(dataset.asked) == {0, *range(CHUNK, 2 * CHUNK)}
    dataset.asked.clear()
    more = prepare(dataset, count + 20, tmp_path, workers=0)
    assert set(dataset.asked) == {0, *range(2 * CHUNK, count + 20)}
    for pictures in (again, more):
        assert all((pictures[i] == dataset.picture(i)).all() for i in range(0, count, 37))
    assert len(more) == count + 20 and (more[-1] == dataset.picture(count + 19)).all()


def test_picture_cache_is_keyed_by_settings(tmp_path):
    keys = {dataset_key(Shapes(Shapes.Options(size=size))) for size in (8, 16)}
    assert len(keys) == 2


def test_worker_processes_draw_the_same_pictures(tmp_path):
    dataset = Shapes(Shapes.Options(size=8))
    pictures = prepare(dataset, CHUNK + 3, tmp_path, workers=1)
    assert (pictures[CHUNK + 2] == dataset.picture(CHUNK + 2)).all()
    assert (pictures[5] == dataset.picture(5)).all()


def test_latents_are_kept_and_exact(codec_run, tmp_path):
    codec = load_codec(codec_run / "model.safetensors")
    pictures = prepare(Shapes(), 20, tmp_path, workers=0)
    latents = encode_latents(codec, pictures, tmp_path / "latents.npy", batch=8)
    assert latents.shape == (20, 4, 8, 8) and latents.dtype == np.float16
    assert (encode_latents(codec, pictures, tmp_path / "latents.npy") == latents).all()


def test_batches_are_epochs():
    seen = np.concatenate([batch_indices(1, step, 7, 21) for step in range(6)])
    assert sorted(seen[:21]) == sorted(seen[21:]) == list(range(21))
    assert seen[:21].tolist() != seen[21:].tolist()
    assert (batch_indices(1, 4, 7, 21) == seen[28:35]).all()


def test_pictures_are_taken_as_often_as_the_recipe_says():
    rows = range(16, 112)
    records = [Shapes().attributes(row) for row in rows]
    often = {"shape": {"disc": 3.0}, "colour": {"red": 0.5, "blue": 2.0}}
    weights = weights_of(Shapes(), rows, often, "denoiser.often")
    factors = {"disc": 3, "square": 1, "red": 0.5, "blue": 2, "green": 1, "white": 1}
    assert weights.tolist() == [factors[r["shape"]] * factors[r["colour"]] for r in records]
    taken = np.concatenate([weighted_indices(7, step, 32, weights) for step in range(600)])
    shares = np.bincount(taken, minlength=96) / len(taken)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=4e-3)
    np.testing.assert_array_equal(weighted_indices(7, 3, 32, weights), taken[96:128])
    for record in records[::2]:
        del record["shape"]
    some = SimpleNamespace(attributes=lambda row: records[row - 16])
    weights = weights_of(some, rows, {"shape": {"disc": 3.0}}, "denoiser.often")
    assert weights.tolist() == [3 if r.get("shape") == "disc" else 1 for r in records]
    assert (weighted_indices(7, 0, 4, np.array([0.0, 1.0, 0.0])) == 1).all()


@pytest.mark.parametrize(("often", "said"), [
    ({"shap": {"disc": 2.0}}, "denoiser.often.shap: no attribute; did you mean 'shape'?"),
    ({"shape": {"disk": 2.0}}, "denoiser.often.shape.disk: no picture has it; "
                               "did you mean 'disc'?"),
])  # fmt: skip
def test_what_no_picture_has_cannot_be_taken_often(often, said, codec_run, tmp_path):
    recipe = denoiser_recipe(codec_run / "model.safetensors")
    part = recipe.denoiser.model_copy(update={"often": often})
    with pytest.raises(PresetError) as raised:
        loop.train(recipe.model_copy(update={"denoiser": part}), Shapes(), tmp_path / "run")
    assert str(raised.value) == said


def test_latents_that_are_there_need_no_pictures(codec_run, tmp_path):
    dataset, path = Counting(), codec_run / "model.safetensors"
    recipe, codec = denoiser_recipe(path).data, load_codec(path)
    first = prepare_latents(codec, "abc", dataset, recipe, tmp_path)
    (tmp_path / dataset_key(dataset) / "pictures.npy").unlink()
    dataset.asked.clear()
    again = prepare_latents(codec, "abc", dataset, recipe, tmp_path)
    assert not dataset.asked and (first == again).all()


def test_a_dataset_that_ends(tmp_path):
    dataset = type("Few", (Shapes,), {"__len__": lambda self: 20})()
    with pytest.raises(PresetError, match=r"data.count: 30 pictures .* has, 20"):
        prepare(dataset, 30, tmp_path, workers=0)
