"""Inception by torch-fidelity and open_clip's models as features; weights are random here."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import artdiff
from artdiff.evaluation.features import extract
from artdiff.openclip import import_mended, import_open_clip
from artdiff_plugins.metrics.inception import Inception
from artdiff_plugins.metrics.open_clip import OpenClip

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def pictures(count, size=40):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in range(count)]


# Inception.


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """A file of the right form with random weights."""
    module = import_mended("torch_fidelity", "torch-fidelity")
    kind = module.FeatureExtractorInceptionV3
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        home = "torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url"
        patch.setattr(home, lambda *_, **__: {})
        patch.setattr(kind, "load_state_dict", lambda self, state: None)
        torch.save(kind("random", ["2048"]).state_dict(), file)
    return file


def test_inception_gives_what_fid_sfid_and_the_inception_score_need(inception_file):
    extractor = Inception(Inception.Options(weights=inception_file))
    found = extract(extractor, pictures(2))
    assert found.sizes() == {"pooled": 2048, "spatial": 7 * 17 * 17, "logits": 1008}
    module = import_mended("torch_fidelity", "torch-fidelity")
    theirs = module.FeatureExtractorInceptionV3(
        "theirs", ["2048"], feature_extractor_weights_path=str(inception_file)
    )
    rows = torch.from_numpy(np.stack(pictures(2))).permute(0, 3, 1, 2)
    assert torch.allclose(theirs(rows)[0], found.pooled, rtol=1e-5, atol=1e-6)
    assert (found.spatial >= 0).all() and len(extractor.digest()) == 16


class Harm:
    def __reduce__(self):
        return (print, ("harm was done",))


@pytest.mark.parametrize(("content", "said"), [
    (None, "no such file; inception needs -f weights=FILE"),
    (b"", "cannot be read as weights"),
    (b"not weights", "cannot be read as weights"),
    (pickle.dumps(Harm(), 2), "cannot be read as weights"),
    ({"fc.weight": torch.zeros(2)}, "not the weights of this Inception"),
], ids=["missing", "empty", "text", "code", "others"])
def test_files_that_are_no_inception(tmp_path, content, said, capsys):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(artdiff.ModelError) as error:
        Inception(Inception.Options(weights=file))
    assert said in str(error.value) and "\n" not in str(error.value)
    assert "harm" not in capsys.readouterr().out


def test_inception_is_never_downloaded():
    with pytest.raises(artdiff.ModelError, match="not downloaded: -f weights="):
        Inception(Inception.Options())


# open_clip.


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    """A tiny model that open_clip knows, and a file with its random weights."""
    library = import_open_clip()
    folder = tmp_path_factory.mktemp("clip")
    (folder / "artdiff-tiny.json").write_text(json.dumps(TINY), encoding="utf-8")
    library.add_model_config(folder / "artdiff-tiny.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.create_model("artdiff-tiny")
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


def test_open_clip_puts_pictures_and_prompts_into_one_space(clip_file):
    extractor = OpenClip(OpenClip.Options(model="artdiff-tiny", weights=str(clip_file)))
    prompts = ["a red fox", "a blue cat", "snow"]
    found = extract(extractor, pictures(3), prompts)
    assert found.sizes() == {"pooled": 24, "aligned": 24}
    assert found.texts.shape == (3, 24) and not torch.allclose(found.texts[0], found.texts[1])
    scores = artdiff.clip_scores(found.aligned, found.texts)
    assert ((scores >= 0) & (scores <= 100)).all()
    again = OpenClip(OpenClip.Options(model="artdiff-tiny", weights=str(clip_file)))
    assert again.digest() == extractor.digest()


def test_open_clip_scales_pictures_as_it_was_trained(clip_file):
    extractor = OpenClip(OpenClip.Options(model="artdiff-tiny", weights=str(clip_file)))
    rows = torch.from_numpy(np.stack(pictures(2, 32))).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (
        extractor.network.visual.image_mean, extractor.network.visual.image_std))
    with torch.inference_mode():
        wanted = extractor.network.encode_image((rows / 255 - mean) / std)
        assert torch.allclose(extractor.pictures(rows)["pooled"], wanted, atol=1e-5)


@pytest.mark.parametrize(("options", "said"), [
    ({"model": "ViT-Z-99"}, "open_clip knows no model 'ViT-Z-99'"),
    ({"model": "ViT-B-32"}, "needs weights; set weights to a file or a tag"),
    ({"model": "ViT-B-32", "weights": "missing.pt"}, "missing.pt: no such file"),
    ({"model": "artdiff-tiny", "weights": "no-such-tag"}, "open_clip cannot load artdiff-tiny"),
])
def test_open_clip_models_that_are_not_there(clip_file, options, said):
    with pytest.raises(artdiff.ModelError) as error:
        OpenClip(OpenClip.Options(**options))
    assert said in str(error.value) and "\n" not in str(error.value)


# Where torchvision is half broken.


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_is_imported_after_all():
    said = run(
        "from artdiff.openclip import mend_torchvision\n"
        "mend_torchvision(); mend_torchvision()\n"
        "import torchvision, torch\n"
        "x = torch.zeros(3, 8, 8)\n"
        "print(tuple(torchvision.transforms.functional.resize(x, [4, 4]).shape))"
    )
    assert said == "(3, 4, 4)"


def test_operators_are_declared_only_where_they_are_missing():
    """A torchvision that works, or fails in another way, is left as it is."""
    said = run(
        "import sys, types, importlib.machinery\n"
        "from artdiff import openclip\n"
        "calls = []\n"
        "openclip._declare = lambda: calls.append(1)\n"
        "openclip.find_spec = lambda name: object()\n"
        "def works(name):\n    sys.modules[name] = types.ModuleType(name)\n"
        "def fails(name):\n    raise RuntimeError('something else')\n"
        "openclip.import_module = fails\n"
        "try:\n    openclip.mend_torchvision()\nexcept RuntimeError as e:\n    print(e)\n"
        "openclip.import_module = works\n"
        "openclip.mend_torchvision()\n"
        "print(calls)"
    )
    assert said == "something else\n[]"


def test_what_is_not_installed_is_said_in_one_line():
    with pytest.raises(artdiff.ModelError, match="not installed; pip install some-package"):
        import_mended("some_module_that_is_not_there", "some-package")
