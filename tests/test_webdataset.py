"""webdataset shards as training data, compared with what webdataset itself wrote and read."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artdiff.errors import PresetError
from artdiff.testing import check_dataset
from artdiff.train.data import dataset_key, prepare
from artdiff_plugins.pictures.shards import Shards, find_shards

REFERENCE = Path(__file__).parent / "references" / "webdataset-shard.tar"


def shards(path, **options):
    return Shards(Shards.Options(path=str(path), **{"size": 8, **options}))


def png(grey, size=(8, 8)):
    file = io.BytesIO()
    Image.new("L", size, grey).save(file, "png")
    return file.getvalue()


def write(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def places(dataset):
    """The indices of the samples, in the order of their keys."""
    return sorted(range(len(dataset)), key=lambda i: dataset.attributes(i)["key"])


def message(call):
    with pytest.raises(PresetError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_reads_what_webdataset_reads():
    """References: see made_by in the JSON."""
    seen = json.loads(REFERENCE.with_suffix(".json").read_text())["samples"]
    dataset = shards(REFERENCE, fit="stretch")
    assert len(dataset) == len(seen) == 5
    seen.sort(key=lambda sample: sample["key"])
    for index, sample in zip(places(dataset), seen, strict=True):
        record = sample["json"] or {}
        facts = dataset.attributes(index)
        assert facts["key"] == sample["key"]
        assert facts["caption"] == (sample["txt"] or record.get("caption"))
        assert facts["label"] == (sample["cls"] or record.get("label"))
        name = f"{REFERENCE}: {sample['key']}.{'png' if 'png' in sample['kinds'] else 'jpg'}"
        with Image.open(io.BytesIO(dataset._bytes(name))) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert [list(pixels.shape), int(pixels.sum())] == [sample["shape"], sample["sum"]]


def test_it_conforms():
    assert check_dataset(Shards, {"path": str(REFERENCE), "size": 8}) == []


def test_several_shards_in_any_order_of_asking(tmp_path):
    for number in range(3):
        members = [(f"{i:02d}.png", png(10 * number + i)) for i in range(4)]
        write(tmp_path / f"part-{number:03d}.tar", members)
    greys = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    for path in (tmp_path, tmp_path / "part-{000..002}.tar", tmp_path / "part-*.tar",
                 tmp_path / "part-{000,001,002}.tar"):  # fmt: skip
        dataset = shards(path)
        order = [int(dataset.picture(i)[0, 0, 0]) for i in range(12)]
        assert sorted(order) == greys and order != greys
        assert int(dataset.picture(7)[0, 0, 0]) == order[7]
        assert len({grey // 10 for grey in order[:4]}) > 1  # not shard by shard
    assert "holds 12 pictures, no 12" in message(lambda: dataset.caption(12, 0))
    pictures = prepare(dataset, 12, tmp_path / "cache", 0)
    assert pictures[:, 0, 0, 0].tolist() == order


def test_only_neighbours_of_one_key_belong_together(tmp_path):
    path = write(tmp_path / "a.tar", [
        ("x/1.png", png(1)), ("x/1.txt", b"one\nuno"), ("y/1.png", png(2)), ("alone.txt", b"no"),
        ("x/2.seg.png", png(9)), ("x/2.png", png(3)), ("x/2.cls", b"5\n"), ("x/.hidden.png", b""),
    ])  # fmt: skip
    dataset = shards(path)
    at = places(dataset)
    facts = [dataset.attributes(i) for i in at]
    assert [f["key"] for f in facts] == ["x/1", "x/2", "y/1"]
    assert [f["caption"] for f in facts] == ["one", "5", ""]
    assert dataset.caption(at[0], 1) == "uno" and facts[1]["label"] == "5"
    assert int(dataset.picture(at[1])[0, 0, 0]) == 3
    assert dataset.vocabulary() == ["5", "one", "uno"]


def test_ranges():
    assert "there is no file s-08.tar" in message(lambda: find_shards("s-{08..10}.tar"))
    assert "there is no file s-8.tar" in message(lambda: find_shards("s-{8..10}.tar"))


@pytest.mark.parametrize(("path", "said"), [
    ("https://example.org/{000..009}.tar", "is not on this machine"),
    ("pipe:cat secret.tar", "is not on this machine"),
    ("none.tar", "there is no file none.tar"),
    ("none-*.tar", "there is no file none-*.tar"),
    ("**.tar", "data.options.path: "),  # which Python refuses, until 3.13
])  # fmt: skip
def test_shards_that_are_not_there(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in message(lambda: shards(path))
    assert "holds no .tar files" in message(lambda: shards(tmp_path))


def test_damaged_shards(tmp_path):
    text = tmp_path / "text.tar"
    text.write_text("this is not a tar file, but it is long enough to look at " * 30)
    assert "not a tar file" in message(lambda: shards(text))
    packed = write(tmp_path / "packed.tar.gz", [("a.png", png(1))], "w:gz")
    assert "unpack it first" in message(lambda: shards(packed))
    cut = write(tmp_path / "cut.tar", [("a.png", png(1)), ("b.png", png(2, (300, 300)) * 40)])
    cut.write_bytes(cut.read_bytes()[:3000])
    assert "not a tar file that can be read" in message(lambda: shards(cut))
    empty = write(tmp_path / "empty.tar", [("a.txt", b"no picture")])
    assert "holds no pictures" in message(lambda: shards(empty))


def test_damaged_members(tmp_path, capsys):
    path = write(tmp_path / "a.tar", [("1.png", png(1)), ("2.png", b"oops"), ("3.png", png(3))])
    said = message(lambda: shards(path).picture(places(shards(path))[1]))
    assert f"{path}: 2.png" in said and "not a picture" in said
    dataset = shards(path, broken="skip")
    assert len(dataset) == 2 and "left out 1 broken" in capsys.readouterr().err
    for name, data, text in (
        ("1.json", b"{", "not JSON"),
        ("1.json", b"[]", "an object"),
        ("1.txt", b"\xff", "UTF-8"),
        ("1.json", b'{"text": 3}', "a text"),
    ):
        wrong = write(tmp_path / "b.tar", [("1.png", png(1)), (name, data)])
        assert text in message(lambda wrong=wrong: shards(wrong))


def test_other_shards_are_other_training_data(tmp_path):
    path = write(tmp_path / "a.tar", [("1.png", png(1))])
    first = shards(path)
    assert dataset_key(first) == dataset_key(shards(path))
    write(path, [("1.png", png(2))])
    assert dataset_key(first) != dataset_key(shards(path))
    assert "changed since" in message(lambda: Shards(Shards.Options(**first.options.model_dump())))
