"""What an evaluation reads: sets of pictures on disk, and the features of pictures."""

import re

import numpy as np
import pytest
import torch
from evaluating import save_pictures
from PIL import Image

import artdiff
from artdiff.errors import ArtdiffError, FrameError
from artdiff.evaluation.encoder import StarterEncoder, pink_noise
from artdiff.evaluation.features import extract
from artdiff.evaluation.pictures import ArrayPictures, FolderPictures, open_pictures, texts_of

# Sets of pictures.


def test_folders_are_read_in_order_with_their_texts(tmp_path):
    folder = save_pictures(tmp_path / "set" / "a", 2).parent
    save_pictures(folder / "b", 2, seed=1)
    (folder / "notes.md").write_text("no picture")
    (folder / "a" / "000.txt").write_text(" a red fox \n")
    pictures = FolderPictures.open(folder)
    assert [str(p.relative_to(folder)) for p in pictures.paths] == [
        "a/000.png", "a/001.png", "b/000.png", "b/001.png"
    ]
    assert len(FolderPictures.open(folder, 3)) == 3 and pictures[0].shape == (32, 32, 3)
    assert pictures.text(0) == "a red fox" and pictures.text(1) is None
    assert texts_of(pictures) is None
    before = pictures.key()
    assert before == FolderPictures.open(folder).key() != FolderPictures.open(folder, 3).key()
    Image.new("RGB", (32, 32)).save(folder / "b" / "000.png")
    assert FolderPictures.open(folder).key() != before


def test_arrays_are_read(tmp_path):
    array = np.arange(5 * 8 * 8 * 3).reshape(5, 8, 8, 3).astype(np.uint8)
    np.savez(tmp_path / "samples.npz", array)
    pictures = open_pictures(tmp_path / "samples.npz", 3)
    assert isinstance(pictures, ArrayPictures) and len(pictures) == 3
    assert (pictures[2] == array[2]).all() and pictures.key().startswith("npz-")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("empty", None, "no pictures in it"),
    ("notes.txt", b"text", "neither a folder of pictures nor an .npz file"),
    ("bad.npz", b"not zip", "no .npz file with pictures"),
    ("missing.npz", False, "no such file"),
])
def test_what_holds_no_pictures_is_refused(tmp_path, name, content, said):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(ArtdiffError, match=re.escape(said)):
        open_pictures(path)


@pytest.mark.parametrize("damage", [
    lambda data: b"",
    lambda data: data[: len(data) // 2],
    lambda data: data[:200] + bytes(200) + data[400:],
    lambda data: data.replace(b"arr_0", b"arr_1"),
    lambda data: data[len(data) - len(data) // 4 :],
], ids=["empty", "cut", "zeros", "named", "end"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, np.save])
def test_damaged_arrays_are_refused(tmp_path, save, damage):
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        save(file, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FrameError, match=r"x\.npz: no \.npz file with pictures as arr_0"):
        open_pictures(path)


def test_arrays_of_another_shape_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(ArtdiffError, match=r"float32 \(2, 3, 8, 8\), not uint8 \(N, H, W, 3\)"):
        open_pictures(tmp_path / "x.npz")


# Features.


def test_the_starter_encoder_takes_pictures_of_any_size():
    encoder = StarterEncoder(StarterEncoder.Options(size=64))
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (64, 64), (64, 64), (90, 40), (300, 200)]
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    found = extract(encoder, pictures)
    assert found.pooled.shape == (5, 192) and found.spatial.shape == (5, 512)
    assert found.sizes() == {"pooled": 192, "spatial": 512} and len(found) == 5
    assert found.pooled.isfinite().all() and found.logits is None
    alone = extract(encoder, [pictures[3]])
    assert torch.allclose(alone.pooled[0], found.pooled[3], atol=1e-4)


def test_the_starter_encoder_tells_sharp_from_soft_and_order_from_disorder():
    encoder = StarterEncoder(StarterEncoder.Options(size=64))
    sharp = pink_noise(24, 64)
    soft = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    pictures = [
        [((p + 1) * 127.5).byte().permute(1, 2, 0).numpy() for p in rows]
        for rows in (sharp[:12], sharp[12:], soft[12:], sharp[12:].roll(32, 2))
    ]
    base, same, blurred, rolled = (extract(encoder, rows) for rows in pictures)
    near = artdiff.kernel_distance(base.pooled, same.pooled)
    assert artdiff.kernel_distance(base.pooled, blurred.pooled) > 3 * abs(near)
    assert not torch.allclose(same.spatial, rolled.spatial, atol=0.05)


def test_a_flat_picture_has_features():
    encoder = StarterEncoder(StarterEncoder.Options(size=64))
    assert extract(encoder, [np.zeros((32, 32, 3), np.uint8)]).pooled.isfinite().all()


def test_the_digest_of_an_extractor_names_weights_and_size(tmp_path, tiny_folder):
    def digest(**values):
        return StarterEncoder(StarterEncoder.Options(**values)).digest()

    assert digest() == digest() != digest(size=128)
    assert digest() != digest(codec=tiny_folder / "codec.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"])
def test_a_codec_that_is_none(tmp_path, content):
    file = tmp_path / "codec.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(artdiff.ModelError, match=r"codec\.safetensors: (no such|not a trained)"):
        StarterEncoder(StarterEncoder.Options(codec=file))


@pytest.mark.parametrize(("found", "said"), [
    ({"pooled": torch.zeros(1, 3)}, r"returned \(1, 3\) as pooled features of 2 pictures"),
    ({"pooled": torch.zeros(2)}, r"not \(2, D\)"),
    ({}, "returned None as pooled"),
    ({"pooled": torch.full((2, 3), torch.nan)}, "not finite"),
])
def test_extractors_that_err_are_named(found, said):
    class Odd:
        gives = ("pooled",)

        def pictures(self, pictures):
            return found

    with pytest.raises(artdiff.PluginError, match=f"Odd {said}|Odd.*{said}"):
        extract(Odd(), [np.zeros((4, 4, 3), np.uint8)] * 2)
