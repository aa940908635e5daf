"""Contact sheets show every picture and every letter."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from artdiff.errors import FrameError
from artdiff.film.sheet import contact_sheet, film_strip, spread, wrap
from artdiff.frames import FrameStore

FONT = ImageFont.load_default(14)
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]


def flat(index, height=40, width=60):
    return np.full((height, width, 3), COLOURS[index % 6], np.uint8)


def colours_of(image):
    return {colour for _, colour in image.getcolors(1 << 20)}


def test_grid_size_and_places():
    sheet = contact_sheet([flat(index) for index in range(5)], columns=3, gap=8)
    assert sheet.size == (3 * 68 + 8, 2 * 48 + 8)
    for index in range(5):
        column, row = index % 3, index // 3
        left, top = 8 + column * 68, 8 + row * 48
        assert sheet.getpixel((left, top)) == COLOURS[index]
        assert sheet.getpixel((left + 59, top + 39)) == COLOURS[index]
        assert sheet.getpixel((left - 1, top)) == (0x18, 0x18, 0x18)
    assert sheet.getpixel((2 * 68 + 30, 48 + 20)) == (0x18, 0x18, 0x18)


def test_about_square_without_columns():
    assert contact_sheet([flat(index) for index in range(9)], gap=0).size == (180, 120)
    assert contact_sheet([flat(0)], gap=0).size == (60, 40)
    assert contact_sheet([flat(0), flat(1)], columns=9, gap=0).size == (120, 40)


def test_wide_pictures_are_scaled_to_max_width():
    sheet = contact_sheet([flat(index, 900, 1600) for index in range(6)], columns=3, gap=8)
    assert sheet.width <= 2048 and sheet.width > 2040
    assert sheet.height == pytest.approx(2 * 676 * 900 / 1600, rel=0.05)
    assert set(COLOURS) <= colours_of(sheet)


def test_mixed_shapes_keep_their_proportions():
    sheet = contact_sheet([flat(0, 200, 50), flat(1, 50, 200)], columns=2, cell=100, gap=0)
    assert sheet.size == (200, 100)
    red = np.all(np.asarray(sheet) == COLOURS[0], -1)
    green = np.all(np.asarray(sheet) == COLOURS[1], -1)
    assert red.any(1).sum() == 100 and red.any(0).sum() == 25
    assert green.any(1).sum() == 25 and green.any(0).sum() == 100


def test_small_pictures_are_enlarged_by_whole_pixels():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    sheet = contact_sheet([image], cell=(35, 35), gap=0)
    assert np.array_equal(np.asarray(sheet)[1:33:4, 1:33:4], image)


def ink(sheet, top):
    """Where there is writing below ``top``: the bounding box."""
    return Image.fromarray(np.asarray(sheet)[top:]).convert("L").point(
        lambda value: 255 * (value > 60)
    ).getbbox()  # fmt: skip


def test_labels_are_there_and_inside():
    plain = contact_sheet([flat(0, 40, 120)], gap=8)
    sheet = contact_sheet([flat(0, 40, 120)], labels=["seed 17"], gap=8)
    assert sheet.width == plain.width and sheet.height > plain.height
    box = ink(sheet, 48)
    assert box is not None and box[3] < sheet.height - 48 - 2


def test_long_labels_are_wrapped_not_cut():
    label = "a castle of glass over a dark sea, " * 4 + "w" * 60
    lines = wrap(label, 100, FONT)
    assert all(FONT.getlength(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    short = contact_sheet([flat(0, 40, 100)], labels=["a"], gap=0)
    long = contact_sheet([flat(0, 40, 100)], labels=[label], gap=0)
    line = sum(FONT.getmetrics())
    assert long.height == short.height + (len(lines) - 1) * line
    # ink on the last line, nothing touching the edge
    box = ink(long, 40)
    assert (len(lines) - 1) * line < box[3] - 4 < len(lines) * line
    assert box[2] <= 100


def test_wrap_corner_cases():
    assert wrap("", 100, FONT) == []
    assert wrap("one\ntwo", 100, FONT) == ["one", "two"]
    assert wrap("WW", 1, FONT) == ["W", "W"]
    assert wrap("two words", 1000, FONT) == ["two words"]


def test_rows_are_as_high_as_their_longest_label():
    images = [flat(index, 40, 100) for index in range(4)]
    sheet = contact_sheet(images, columns=2, labels=["a", "b " * 40, "", ""], gap=0)
    lines = len(wrap("b " * 40, 100, FONT))
    assert sheet.height == 80 + 4 + lines * sum(FONT.getmetrics())
    assert sheet.getpixel((1, sheet.height - 1)) == COLOURS[2]


def test_labels_read_on_light_ground():
    sheet = contact_sheet([flat(0, 40, 120)], labels=["seed"], background="white", gap=0)
    assert np.asarray(sheet)[44:].min() < 80


def test_tiny_pictures_get_room_for_labels():
    assert contact_sheet([flat(0, 16, 16)], labels=["a word"], gap=0).width == 96


def test_grey_and_file_pictures(tmp_path):
    Image.new("L", (20, 10), 200).save(tmp_path / "grey.png")
    sheet = contact_sheet([tmp_path / "grey.png", str(tmp_path / "grey.png")], gap=0)
    assert sheet.size == (40, 10) and colours_of(sheet) == {(200, 200, 200)}


def test_wrong_requests(tmp_path):
    with pytest.raises(FrameError, match="at least one"):
        contact_sheet([])
    with pytest.raises(FrameError, match="as a picture"):
        contact_sheet([tmp_path / "none.png"])
    for wrong in ({"columns": 0}, {"gap": -1}, {"cell": 0}, {"labels": ["a", "b"]}):
        with pytest.raises(ValueError):
            contact_sheet([flat(0)], **wrong)


def test_spread_has_both_ends():
    for total in range(1, 40):
        for count in range(2, 12):
            chosen = spread(total, count)
            assert len(chosen) == len(set(chosen)) == min(total, count)
            assert chosen[0] == 0 and chosen[-1] == total - 1
            steps = np.diff(chosen)
            assert len(steps) == 0 or steps.max() - steps.min() <= 1
    assert spread(9, 1) == [0]


def test_film_strip_of_a_store(tmp_path):
    store = FrameStore.open(tmp_path, {}, 12)
    for index in range(12):
        if index != 6:
            store.write(index, np.full((30, 30, 3), 10 * index, np.uint8), {})
    strip = film_strip(store, 4, gap=0)
    assert strip.size == (120, 30)
    shown = [strip.getpixel((15 + 30 * at, 15))[0] for at in range(4)]
    assert shown[0] == 0 and shown[-1] == 110
    assert shown == sorted(shown) and len(set(shown)) == 4


def test_film_strip_of_little(tmp_path):
    assert film_strip([flat(0), flat(1)], 8, gap=0).size == (120, 40)
    assert film_strip([flat(index, 500, 900) for index in range(8)]).width <= 2048
    with pytest.raises(FrameError, match="at least one finished frame"):
        film_strip(FrameStore.open(tmp_path, {}, 3))
    with pytest.raises(ValueError):
        film_strip([flat(0)], 0)
