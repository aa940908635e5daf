"""Films hold exactly the frames they were given, or there is no film."""

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from artdiff.errors import FrameError, MachineError, VideoError
from artdiff.film.video import FORMATS, encode, parse_fps, probe
from artdiff.frames import FrameStore

SUFFIXES = list(FORMATS)


def frame(index, height=32, width=32):
    image = np.empty((height, width, 3), np.uint8)
    image[...] = (200, 60, 30)
    image[:, : index * 3 % width + 1] = (10, index * 37 % 255, 200)
    return image


def film(count, height=32, width=32):
    return (frame(index, height, width) for index in range(count))


def decoded(path):
    """All frames of a film as uint8 (N, H, W, 3), through a reader that encode does not use."""
    if path.suffix == ".webp":
        with Image.open(path) as image:
            found = []
            for index in range(image.n_frames):
                image.seek(index)
                found.append(np.array(image.convert("RGB")))
        return np.array(found)
    reader = imageio_ffmpeg.read_frames(path, output_params=["-fps_mode", "passthrough"])
    width, height = next(reader)["size"]
    return np.array([np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader])


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("fps", [24, 25, 30])
@pytest.mark.parametrize("count", [1, 6, 7, 29, 123])
def test_mp4_holds_each_frame_at_its_time(tmp_path, count, fps):
    made = encode(film(count), fps, tmp_path / "film.mp4")
    found = made.probe
    assert (found.frames, found.width, found.height) == (count, 32, 32)
    assert (found.codec, found.pix_fmt) == ("h264", "yuv420p")
    assert found.duration == pytest.approx(count / fps, abs=1e-9)
    assert made.notes == ()
    # a second opinion on the count, not through our own probe
    assert imageio_ffmpeg.count_frames_and_secs(made.path)[0] == count


@pytest.mark.parametrize("suffix", [".gif", ".webm", ".webp"])
@pytest.mark.parametrize(("count", "fps"), [(1, 24), (7, 25), (29, 30), (123, 24)])
def test_other_formats_hold_each_frame(tmp_path, suffix, count, fps):
    path = encode(film(count), fps, tmp_path / f"film{suffix}").path
    assert len(decoded(path)) == count
    assert probe(path).duration == pytest.approx(count / fps, abs=0.02)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_frames_are_not_dropped(tmp_path, suffix):
    path = encode((frame(3) for _ in range(10)), 10, tmp_path / f"still{suffix}").path
    assert len(decoded(path)) == 10


@pytest.mark.parametrize(
    "fps", ["24000/1001", 23.976, 29.97, 12.5, "1/7", 0.1, Fraction(60000, 1001), 240, 999.9]
)
def test_fractional_fps_is_exact(tmp_path, fps):
    made = encode(film(13), fps, tmp_path / "film.mp4")
    assert made.probe.fps == pytest.approx(float(parse_fps(fps)), rel=1e-9)


def test_parse_fps():
    assert parse_fps(23.976) == parse_fps("24000/1001") == Fraction(24000, 1001)
    assert parse_fps("29.97") == Fraction(30000, 1001)
    assert parse_fps(24) == 24
    for wrong in (0, -1, 0.0, 0.01, float("nan"), float("inf"), "fast", "1/0", 5000, None):
        with pytest.raises(VideoError, match="fps"):
            parse_fps(wrong)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_survive(tmp_path, suffix):
    y, x = np.mgrid[0:64, 0:64] * 4
    gradient = np.stack([x, y, 255 - x], -1).astype(np.uint8)
    flat = np.full((64, 64, 3), (230, 40, 90), np.uint8)
    path = encode([gradient, flat], 10, tmp_path / f"film{suffix}", quality=95).path
    found = decoded(path).astype(float)
    assert np.abs(found[0] - gradient).mean() < 8
    assert np.abs(found[1] - flat).mean() < 4  # BT.601 read as BT.709 would be off by 9


def test_frames_keep_their_order(tmp_path):
    greys = [np.full((16, 16, 3), value, np.uint8) for value in range(0, 250, 10)]
    for suffix in SUFFIXES:
        found = decoded(encode(greys, 25, tmp_path / f"film{suffix}").path)
        assert found.mean((1, 2, 3)) == pytest.approx(np.arange(0, 250, 10), abs=4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1)])
def test_odd_sizes(tmp_path, suffix, height, width):
    made = encode(film(3, height, width), 24, tmp_path / f"film{suffix}")
    even = FORMATS[suffix].pix_fmt == "yuv420p"
    expected = (width + 1, height + 1) if even else (width, height)
    assert (made.probe.width, made.probe.height) == expected
    assert bool(made.notes) == even
    if even and width > 1:
        assert f"{width}x{height}" in made.notes[0]
        found = decoded(made.path).astype(float)
        assert np.abs(found[:, :, -1] - found[:, :, -2]).mean() < 6
        assert found[:, -1].mean() > 40  # not black


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_film(tmp_path, suffix):
    alive, peak = set(), 0

    def watched():
        nonlocal peak
        for index in range(60):
            image = frame(index)
            alive.add(index)
            weakref.finalize(image, alive.discard, index)
            peak = max(peak, len(alive))
            yield image

    encode(watched(), 30, tmp_path / f"film{suffix}")
    assert peak <= 6


def test_progress_and_laziness(tmp_path):
    seen = []
    encode(film(5), 10, tmp_path / "film.mp4", on_frame=seen.append)
    assert seen == [0, 1, 2, 3, 4]


def test_from_store_and_paths(tmp_path):
    store = FrameStore.open(tmp_path / "frames", {"seed": 1}, 4)
    for index in range(3):
        store.write(index, frame(index), {"seed": index})
    with pytest.raises(FrameError, match=r"lacks 1 of 4 frames \(3\)"):
        encode(store, 10, tmp_path / "film.mp4")
    store.write(3, frame(3), {"seed": 3})
    assert encode(store, 10, tmp_path / "film.mp4").probe.frames == 4
    assert encode(store.paths()[:2], 10, tmp_path / "film.webp").probe.frames == 2


def test_gif_and_webp_loop(tmp_path):
    for loop, gif in ((0, 0), (1, None), (3, 2)):
        with Image.open(encode(film(3), 10, tmp_path / "a.gif", loop=loop).path) as image:
            assert image.info.get("loop") == gif
        with Image.open(encode(film(3), 10, tmp_path / "a.webp", loop=loop).path) as image:
            assert image.info["loop"] == loop


def test_equal_frames_make_equal_files(tmp_path):
    for suffix in SUFFIXES:
        one = encode(film(5), 10, tmp_path / f"one{suffix}").path.read_bytes()
        assert one == encode(film(5), 10, tmp_path / f"two{suffix}").path.read_bytes()


def test_mp4_starts_fast(tmp_path):
    data = encode(film(5), 10, tmp_path / "film.mp4").path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_quality_matters(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    for suffix in (".mp4", ".webm", ".webp"):
        low, high = (
            encode(noise, 10, tmp_path / f"{quality}{suffix}", quality=quality).path
            for quality in (10, 95)
        )
        assert low.stat().st_size < high.stat().st_size


def test_awkward_names(tmp_path):
    for name in ("-film %03d.mp4", "a:b 'é'.webm", "UPPER.MP4", "new/folder/film.gif"):
        made = encode(film(3), 10, tmp_path / name)
        assert made.path == tmp_path / name
        assert made.path.is_file()


def test_wrong_requests_are_refused_before_any_work(tmp_path):
    def untouched():
        raise AssertionError("a frame was asked for")
        yield

    for name in ("film.avi", "film"):
        with pytest.raises(VideoError, match=r"\.mp4, \.webm, \.gif, \.webp"):
            encode(untouched(), 24, tmp_path / name)
    with pytest.raises(VideoError, match="fps"):
        encode(untouched(), 0, tmp_path / "film.mp4")
    with pytest.raises(VideoError, match="at most 50 frames a second"):
        encode(untouched(), 60, tmp_path / "film.gif")
    with pytest.raises(VideoError, match="quality"):
        encode(untouched(), 24, tmp_path / "film.mp4", quality=0)
    with pytest.raises(VideoError, match="loop"):
        encode(untouched(), 24, tmp_path / "film.gif", loop=-1)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match="is a folder"):
        encode(untouched(), 24, tmp_path / "folder.mp4")
    with pytest.raises(VideoError, match="no frames"):
        encode([], 24, tmp_path / "film.mp4")
    assert leftovers(tmp_path) == ["folder.mp4"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_film_leaves_the_old_one(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    path.write_bytes(b"old")

    def breaks():
        yield from film(5)
        raise RuntimeError("the model fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        encode(breaks(), 24, path)
    with pytest.raises(VideoError, match="frame 1 is 20x20 pixels, the first one 32x32"):
        encode([frame(0), frame(0, 20, 20)], 24, path)
    with pytest.raises(VideoError, match="frame 1 is float64"):
        encode([frame(0), frame(0) / 255], 24, path)
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == [path.name]


def test_ffmpeg_refusals_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("artdiff.film.video._arguments", lambda *_: ("nocodec", []))
    with pytest.raises(VideoError, match=r"ffmpeg could not write the \.mp4 film: .*nocodec"):
        encode(film(200, 128, 128), 24, tmp_path / "film.mp4")
    assert leftovers(tmp_path) == []


def test_a_film_with_a_lost_frame_is_refused(tmp_path, monkeypatch):
    import artdiff.film.video as video

    real = video._arguments

    def lossy(*asked):
        codec, params = real(*asked)
        return codec, [*params, "-frames:v", "4"]

    monkeypatch.setattr(video, "_arguments", lossy)
    (tmp_path / "film.mp4").write_bytes(b"old")
    with pytest.raises(VideoError, match="frames 4, not 5"):
        encode(film(5), 24, tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == b"old"


def test_a_film_of_another_speed_is_refused(tmp_path, monkeypatch):
    import artdiff.film.video as video

    real = video._arguments
    monkeypatch.setattr(
        video, "_arguments", lambda suffix, rate, *more: real(suffix, Fraction(12), *more)
    )
    with pytest.raises(VideoError, match=r"fps 12\.000, not 24\.000"):
        encode(film(24), 24, tmp_path / "film.mp4")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_films_are_noticed(tmp_path, suffix):
    path = encode(film(20), 10, tmp_path / f"film{suffix}").path
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 8])
    with pytest.raises(VideoError, match="film"):
        probe(path)
    with pytest.raises(VideoError, match="does not exist"):
        probe(tmp_path / f"none{suffix}")


@pytest.fixture
def tiny_disk(small_disk):
    with small_disk("32k") as folder:
        yield folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk(tiny_disk, suffix):
    path = tiny_disk / f"film{suffix}"
    path.write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 255, (12, 128, 128, 3), np.uint8)
    with pytest.raises(MachineError, match=r"disk is full|No space left"):
        encode(noise, 10, path, quality=100)
    assert path.read_bytes() == b"old"
    assert leftovers(tiny_disk) == [path.name]


ENDLESS = """
import itertools, sys
import numpy as np
from artdiff.film.video import encode
image = np.zeros((64, 64, 3), np.uint8)
encode(itertools.repeat(image), 24, sys.argv[1], on_frame=lambda i: i == 40 and print(flush=True))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see children")
def test_interrupt_leaves_no_ffmpeg_and_no_file(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        child.stdout.readline()
        ffmpegs = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        assert len(ffmpegs) == 1
        child.send_signal(signal.SIGINT)
        error = child.communicate(timeout=120)[1]
    finally:
        child.kill()
        child.wait()
    assert b"KeyboardInterrupt" in error
    assert not any(Path(f"/proc/{pid}").exists() for pid in ffmpegs)
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == ["film.mp4"]


def test_a_killed_encode_is_swept_by_the_next(tmp_path):
    path = tmp_path / "film.mp4"
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    child.stdout.readline()
    child.kill()
    child.communicate()
    assert not path.exists()
    left = leftovers(tmp_path)
    assert len(left) == 1 and left[0].endswith("film.mp4")
    deadline = time.monotonic() + 60
    encode(film(3), 10, path)
    while leftovers(tmp_path) != ["film.mp4"] and time.monotonic() < deadline:
        time.sleep(0.1)  # the orphaned ffmpeg may still have been closing its file
        encode(film(3), 10, path)
    assert leftovers(tmp_path) == ["film.mp4"]
    assert probe(path).frames == 3


def test_probe_reads_webp_of_other_programs(tmp_path):
    """With transparency, and frames smaller than the canvas."""
    pictures = [Image.fromarray(frame(index)).convert("RGBA") for index in range(5)]
    for index, picture in enumerate(pictures):
        picture.putalpha(Image.new("L", (32, 32), 40 * index + 10))
    for lossless in (False, True):
        path = tmp_path / "other.webp"
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=40, lossless=lossless
        )
        found = probe(path)
        assert (found.frames, found.width, found.height, found.duration) == (5, 32, 32, 0.2)
    pictures[0].save(tmp_path / "still.webp")
    with pytest.raises(VideoError, match="still picture"):
        probe(tmp_path / "still.webp")


def test_importing_does_not_import_moviepy_or_torch():
    code = "import sys, json, artdiff.film.video, artdiff.film.sheet;"
    code += "print(json.dumps(list(sys.modules)))"
    cwd, env = Path(__file__).parents[1], dict(os.environ)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=cwd, env=env)
    assert not {"moviepy", "torch"} & set(json.loads(out.stdout))
