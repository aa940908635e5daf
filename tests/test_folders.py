"""Folders of pictures as training data: what they hold, in which order, and what is wrong."""

import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from artdiff.errors import PresetError
from artdiff.testing import check_dataset
from artdiff.train.data import dataset_key, prepare
from artdiff_plugins.pictures.folder import Folder

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def plain(path, colour=RED, size=(20, 20), **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **how)
    return path


def folder(root, **options):
    return Folder(Folder.Options(path=root, **{"size": 8, **options}))


def files(dataset):
    return [dataset.attributes(index)["file"] for index in range(len(dataset))]


def places(dataset):
    """The indices of the pictures, in the order of their names."""
    return sorted(range(len(dataset)), key=files(dataset).__getitem__)


def message(call):
    with pytest.raises(PresetError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def classes(tmp_path):
    for number, (name, colour) in enumerate((("red_fox", RED), ("cat", GREEN), ("red_fox", BLUE))):
        plain(tmp_path / name / f"{number}.png", colour)
    plain(tmp_path / "cat" / "deeper" / "b.jpg")
    plain(tmp_path / "top.webp")
    plain(tmp_path / ".hidden" / "x.png")
    (tmp_path / "cat" / "notes.md").write_text("no picture")
    return tmp_path


def test_class_folders(classes):
    dataset = folder(classes)
    assert sorted(files(dataset)) == [
        "cat/1.png", "cat/deeper/b.jpg", "red_fox/0.png", "red_fox/2.png", "top.webp"
    ]  # fmt: skip
    at = places(dataset)
    assert [dataset.attributes(i)["label"] for i in at] == [
        "cat", "cat", "red_fox", "red_fox", None
    ]  # fmt: skip
    assert [dataset.caption(at[i], 3) for i in (0, 2, 4)] == ["cat", "red fox", ""]
    assert dataset.vocabulary() == ["cat", "fox", "red"]
    assert dataset.picture(at[2]).tolist() == [[list(RED)] * 8] * 8
    none = folder(classes, labels="none")
    assert {none.attributes(i)["label"] for i in range(5)} == {None} and none.vocabulary() == []


def test_the_first_pictures_are_of_all_classes(tmp_path):
    """The order is that of a hash of the names, which training holds the first of out."""
    for label in ("ant", "bee", "cow"):
        for number in range(20):
            plain(tmp_path / label / f"{number}.png", size=(4, 4))
    dataset = folder(tmp_path)
    labels = [dataset.attributes(i)["label"] for i in range(60)]
    assert {"ant", "bee", "cow"} == set(labels[:12]) == set(labels[48:])
    assert files(dataset) == sorted(
        files(dataset), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
    )
    before = files(dataset)
    plain(tmp_path / "ant" / "more.png")
    assert [name for name in files(folder(tmp_path)) if name != "ant/more.png"] == before


def test_it_conforms(classes):
    assert check_dataset(Folder, {"path": classes, "size": 8}) == []


def test_text_files_beside_pictures(tmp_path):
    plain(tmp_path / "a.png")
    plain(tmp_path / "b.PNG")
    (tmp_path / "a.txt").write_text("A red  square\n\nred on red\n", "utf-8")
    (tmp_path / "b.txt").write_bytes("\ufeffÉtoile".encode())
    dataset = folder(tmp_path)
    a, b = places(dataset)
    assert [dataset.caption(a, draw) for draw in range(3)] == [
        "A red square", "red on red", "A red square"
    ]  # fmt: skip
    assert dataset.caption(b, 0) == "Étoile"
    assert dataset.vocabulary() == ["a", "on", "red", "square", "étoile"]


@pytest.mark.parametrize(("name", "text"), [
    ("captions.jsonl", '{"file_name": "a.png", "caption": "one"}\n\n'
                       '{"file": "sub/b.png", "text": ["two", "three"], "label": 7}\n'),
    ("metadata.jsonl", '{"file_name": "a.png", "text": "one"}\n'
                       '{"file_name": "./sub/b.png", "prompt": ["two", "three"], "class": "7"}\n'),
    ("captions.csv", 'file_name,caption,label\na.png,one,\nsub/b.png,"two\nthree",7\n'),
])  # fmt: skip
def test_tables(tmp_path, name, text):
    plain(tmp_path / "a.png")
    plain(tmp_path / "sub" / "b.png")
    plain(tmp_path / "sub" / "c.png")
    (tmp_path / name).write_text(text)
    dataset = folder(tmp_path)
    a, b, c = places(dataset)
    assert [dataset.caption(a, 5), dataset.caption(b, 0), dataset.caption(b, 1)] == [
        "one", "two", "three"
    ]  # fmt: skip
    assert [dataset.attributes(i)["label"] for i in (a, b, c)] == [None, "7", "sub"]


@pytest.mark.parametrize(("name", "text", "said"), [
    ("captions.jsonl", '{"file_name": "a.png"}\n{oops\n', "line 2: not JSON"),
    ("captions.jsonl", '["a.png", "x"]\n', "line 1: must be an object"),
    ("captions.jsonl", '{"caption": "x"}\n', "names no picture"),
    ("captions.jsonl", '{"file_name": "z.png", "caption": "x"}\n', "no picture 'z.png'"),
    ("captions.jsonl", '{"file_name": "../a.png", "caption": "x"}\n', "no picture '../a.png'"),
    ("captions.jsonl", '{"file_name": "a.png", "caption": 3}\n', "must be a text"),
    ("captions.jsonl", '{"file_name": "a.png", "label": {}}\n', "label must be"),
    ("captions.jsonl", '{"file_name": "a.png"}\n{"file_name": "a.png"}\n', "a row already"),
    ("captions.csv", "picture,words\na.png,x\n", "names no picture"),
    ("captions.csv", 'file_name,caption\na.png,"x\n', "comma-separated"),
    ("a.txt", b"\xff\xfe\x00", "UTF-8"),
])  # fmt: skip
def test_what_is_wrong_in_texts_is_said_with_its_place(tmp_path, name, text, said):
    plain(tmp_path / "a.png")
    path = tmp_path / name
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    assert said in message(lambda: folder(tmp_path)) and name in message(lambda: folder(tmp_path))


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_a_row_ends_where_its_line_does(tmp_path, mark):
    """What only Unicode calls the end of a line may stand in a text of JSON."""
    plain(tmp_path / "a.png")
    rows = [{"file_name": "a.png", "caption": "one", "label": f"red{mark}fox"}, {}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "captions.jsonl").write_bytes(f"{lines[0]}\r\n".encode())
    facts = folder(tmp_path).attributes(0)
    assert (facts["label"], facts["caption"]) == (f"red{mark}fox", "one")
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), "utf-8")
    assert "line 2: names no picture" in message(lambda: folder(tmp_path))


def test_two_tables(tmp_path):
    plain(tmp_path / "a.png")
    for name in ("captions.csv", "metadata.jsonl"):
        (tmp_path / name).write_text("")
    assert "keep one of the two" in message(lambda: folder(tmp_path))


def test_no_folder_and_no_pictures(tmp_path):
    assert "is not a folder" in message(lambda: folder(tmp_path / "none"))
    assert "holds no pictures" in message(lambda: folder(tmp_path))
    plain(tmp_path / "a.png")
    assert "holds 1 pictures, no 1" in message(lambda: folder(tmp_path).picture(1))


def test_crop_pad_and_stretch(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, :20], picture[:, 20:40], picture[:, 40:] = RED, GREEN, BLUE
    Image.fromarray(picture).save(tmp_path / "wide.png")
    crop = folder(tmp_path, size=20).picture(0)
    assert np.array_equal(crop, np.broadcast_to(GREEN, (20, 20, 3)))
    pad = folder(tmp_path, size=60, fit="pad", background="#010203").picture(0)
    assert pad[0, 0].tolist() == [1, 2, 3] and np.array_equal(pad[20:40], picture)
    stretch = folder(tmp_path, size=30, fit="stretch").picture(0)
    assert [tuple(stretch[15, x]) for x in (4, 15, 26)] == [RED, GREEN, BLUE]


def test_exif_orientation(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 255  # the upper half is white; stored lying on its side
    exif = Image.Exif()
    exif[0x0112] = 6  # the first stored row is the right-hand side
    Image.fromarray(np.rot90(picture)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(folder(tmp_path).picture(0), picture)


def test_transparency_palette_grey_and_sixteen_bits(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a-clear.png")
    Image.new("LA", (8, 8), (0, 128)).save(tmp_path / "b-half.png")
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 255] * 4)
    palette.save(tmp_path / "c-palette.png")
    palette.save(tmp_path / "d-palette.png", transparency=0)
    Image.fromarray(np.full((8, 8), 65535 // 2, np.uint16)).save(tmp_path / "e-deep.png")
    Image.new("1", (8, 8), 1).save(tmp_path / "f-bit.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "g-cmyk.jpg")
    dataset = folder(tmp_path, background="#00ff00")
    seen = [dataset.picture(i)[4, 4].tolist() for i in places(dataset)]
    assert seen[0] == [0, 255, 0] and seen[1] == [0, 127, 0]
    assert seen[2] == [0, 0, 255] and seen[3] == [0, 255, 0]
    assert seen[4] == [127, 127, 127] or seen[4] == [128, 128, 128]
    assert seen[5] == [255, 255, 255] and seen[6][0] > 240 > 20 > seen[6][1]


def broken(root):
    plain(root / "a.png")
    (root / "b.png").write_bytes(b"not a picture at all")
    whole = plain(root / "c.png", size=(64, 64)).read_bytes()
    (root / "c.png").write_bytes(whole[: len(whole) // 2])
    (root / "d.png").write_bytes(b"")
    plain(root / "e.png", BLUE)


def test_broken_files_are_named(tmp_path):
    broken(tmp_path)
    dataset = folder(tmp_path)
    for place, name in ((1, "b.png"), (2, "c.png"), (3, "d.png")):
        index = places(dataset)[place]
        said = message(lambda index=index: dataset.picture(index))
        assert str(tmp_path / name) in said and 'broken = "skip"' in said


def test_broken_files_are_left_out(tmp_path, capsys):
    broken(tmp_path)
    dataset = folder(tmp_path, broken="skip")
    assert sorted(files(dataset)) == ["a.png", "e.png"]
    assert "left out 3 broken pictures: b.png, c.png, d.png" in capsys.readouterr().err
    again = Folder(Folder.Options(**dataset.options.model_dump()))
    assert files(again) == files(dataset) and capsys.readouterr().err == ""
    assert dataset.picture(places(dataset)[1])[0, 0].tolist() == list(BLUE)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    plain(tmp_path / "a.png", size=(200, 200))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "not a picture that can be read" in message(lambda: folder(tmp_path).picture(0))


@pytest.mark.parametrize("options", [{"size": 0}, {"fit": "zoom"}, {"background": "blurple"},
                                     {"sise": 3}])  # fmt: skip
def test_bad_options(tmp_path, options):
    with pytest.raises(ValidationError):
        Folder.Options(path=tmp_path, **options)


def test_other_files_are_other_training_data(tmp_path):
    plain(tmp_path / "a.png")
    first = folder(tmp_path)
    assert dataset_key(first) == dataset_key(folder(tmp_path))
    plain(tmp_path / "b.png")
    second = folder(tmp_path)
    assert dataset_key(first) != dataset_key(second) != dataset_key(folder(tmp_path, size=9))
    os.utime(tmp_path / "b.png", (1, 1))
    assert dataset_key(second) != dataset_key(folder(tmp_path))
    said = message(lambda: Folder(Folder.Options(**first.options.model_dump())))
    assert "have changed since" in said


def test_training_reads_it_in_worker_processes(tmp_path):
    for number in range(5):
        plain(tmp_path / "pictures" / f"{number}.png", (number, 0, 0))
    dataset = folder(tmp_path / "pictures")
    pictures = prepare(dataset, 5, tmp_path / "cache", workers=1)
    assert pictures.shape == (5, 8, 8, 3)
    assert [f"{red}.png" for red in pictures[:, 0, 0, 0]] == files(dataset)
    assert "more than the dataset has, 5" in message(lambda: prepare(dataset, 6, tmp_path, 0))


def test_attributes_are_json(classes):
    dataset = folder(classes)
    facts = dataset.attributes(places(dataset)[0])
    assert json.loads(json.dumps(facts))["file"] == "cat/1.png"
