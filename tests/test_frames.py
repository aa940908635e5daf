"""The frame folder keeps what is finished, whatever happens to the process or the disk."""

import errno
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import artdiff.files as files
from artdiff.errors import FrameError, MachineError
from artdiff.frames import FrameStore, key_of, load_image, load_mask, read_settings

SETTINGS = {"sampler": {"name": "euler", "steps": 20}, "prompts": ["a", "b"], "scale": 1.5}


def picture(index, size=24):
    return np.random.default_rng(index).integers(0, 256, (size, size + 3, 3), np.uint8)


def changed(**sampler):
    return {**SETTINGS, "sampler": {**SETTINGS["sampler"], **sampler}}


@pytest.fixture
def store(tmp_path):
    return FrameStore.open(tmp_path / "film", SETTINGS, 5)


def test_write_and_read(store):
    store.write(2, picture(2), {"seed": 7})
    assert np.array_equal(store.read(2), picture(2))
    assert store.missing() == [0, 1, 3, 4]
    assert store.present() == [2]
    assert store.has(2) and not store.has(0)
    assert store.settings(2) == {"seed": 7}
    names = sorted(path.name for path in store.path.iterdir())
    assert names == ["000002.json", "000002.png", "render.json"]


def test_resume_goes_on_where_it_stopped(store):
    for index in (0, 3):
        store.write(index, picture(index), {})
    again = FrameStore.open(store.path, SETTINGS, 5)
    assert again == store
    assert again.missing() == [1, 2, 4]
    for index in again.missing():
        again.write(index, picture(index), {})
    assert again.missing() == []
    assert [path.name for path in again.paths()] == [f"00000{index}.png" for index in range(5)]


def test_order_of_keys_and_tuples_do_not_matter(store):
    again = {"scale": 1.5, "prompts": ("a", "b"), "sampler": {"steps": 20, "name": "euler"}}
    assert FrameStore.open(store.path, again, 5).key == store.key


def test_count_may_change(store):
    store.write(1, picture(1), {})
    assert FrameStore.open(store.path, SETTINGS, 8).missing() == [0, 2, 3, 4, 5, 6, 7]
    assert FrameStore.existing(store.path).count == 8
    assert FrameStore.open(store.path, SETTINGS, 2).missing() == [0]


def test_other_settings_are_refused_by_name(store):
    store.write(0, picture(0), {})
    with pytest.raises(FrameError, match=r"sampler\.steps: 20 there, 16 here.*--fresh") as caught:
        FrameStore.open(store.path, changed(steps=16), 5)
    assert "\n" not in str(caught.value)
    with pytest.raises(FrameError, match=r"sampler\.eta: nothing there, 0\.5 here"):
        FrameStore.open(store.path, changed(eta=0.5), 5)
    with pytest.raises(FrameError, match=r'prompts\[1\]: "b" there, "c" here'):
        FrameStore.open(store.path, {**SETTINGS, "prompts": ["a", "c"]}, 5)
    with pytest.raises(FrameError, match="and 2 more"):
        FrameStore.open(store.path, {"x": 1, "y": 2}, 5)
    assert store.missing() == [1, 2, 3, 4]


def test_info_is_kept_but_never_compared(tmp_path):
    first = FrameStore.open(tmp_path, SETTINGS, 1, info={"torch": "2.4"})
    again = FrameStore.open(tmp_path, SETTINGS, 1, info={"torch": "2.9"})
    assert first.key == again.key
    assert FrameStore.existing(tmp_path).info == {"torch": "2.4"}


def test_existing_finds_the_settings(store):
    store.write(4, picture(4), {})
    found = FrameStore.existing(store.path)
    assert found == store
    assert found.manifest == SETTINGS
    assert found.present() == [4]


def test_existing_refuses_other_folders(tmp_path):
    with pytest.raises(FrameError, match="no frame folder"):
        FrameStore.existing(tmp_path)
    with pytest.raises(FrameError, match="no frame folder"):
        FrameStore.existing(tmp_path / "none")
    for damage in ('{"settings": {}', "[]", '{"settings": {}, "info": {}, "count": "3"}'):
        (tmp_path / "render.json").write_text(damage)
        with pytest.raises(FrameError, match="damaged"):
            FrameStore.existing(tmp_path)


def test_fresh_removes_ours_only(store):
    store.write(0, picture(0), {})
    for name in ("notes.txt", "12.png", "0000x1.png"):
        (store.path / name).write_text("mine")
    again = FrameStore.open(store.path, changed(steps=16), 5, fresh=True)
    assert again.missing() == [0, 1, 2, 3, 4]
    left = sorted(path.name for path in store.path.iterdir())
    assert left == ["0000x1.png", "12.png", "notes.txt", "render.json"]


@pytest.mark.parametrize("fresh", [False, True])
def test_numbered_files_of_others_are_safe(tmp_path, fresh):
    (tmp_path / "000000.png").write_text("mine")
    with pytest.raises(FrameError, match="not ours to overwrite"):
        FrameStore.open(tmp_path, SETTINGS, 1, fresh=fresh)
    assert (tmp_path / "000000.png").read_text() == "mine"


def test_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FrameError, match="not a folder"):
            FrameStore.open(path, SETTINGS, 1)


def test_a_frame_of_other_settings_does_not_count(store):
    store.write(0, picture(0), {})
    sidecar = store.path / "000000.json"
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**record, "key": key_of({"other": 1})}))
    assert store.missing() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stop_at", [".png", ".json"])
def test_death_in_the_middle_of_a_write(store, stop_at):
    """A process that dies just before the PNG or just before the sidecar gets its name."""
    code = f"""
import os, numpy as np
import artdiff.files as files
import artdiff.frames as frames
store = frames.FrameStore.existing({str(store.path)!r})
real = os.replace
def replace(old, new):
    if str(new).endswith({stop_at!r}):
        os._exit(9)
    real(old, new)
os.replace = replace
store.write(1, np.zeros((8, 8, 3), np.uint8), {{}})
"""
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 9
    )
    assert store.missing() == [0, 1, 2, 3, 4]
    temps = [path for path in store.path.iterdir() if path.name.startswith(".")]
    assert len(temps) == 1
    again = FrameStore.open(store.path, SETTINGS, 5)
    assert not temps[0].exists()
    again.write(1, picture(1), {})
    assert np.array_equal(again.read(1), picture(1))


def test_temps_of_the_living_stay(store):
    living = files.temp_beside(store.path / "000001.png")
    living.write_text("half")
    far = store.path / ".artdiff-tmp-elsewhere-1-0123456789abcdef-000001.png"
    far.write_text("half")
    FrameStore.open(store.path, SETTINGS, 5)
    assert living.exists() and far.exists()
    for path in (living, far):
        os.utime(path, (0, 0))
    FrameStore.open(store.path, SETTINGS, 5)
    assert not living.exists() and not far.exists()


def test_a_cut_png_is_noticed(store):
    for index in range(3):
        store.write(index, picture(index), {})
    png = store.png(1)
    png.write_bytes(png.read_bytes()[:-20])
    assert store.missing() == [1, 3, 4]
    with pytest.raises(FrameError, match="frame 1 is missing"):
        store.read(1)


def test_a_cut_sidecar_is_noticed(store):
    store.write(0, picture(0), {})
    sidecar = store.path / "000000.json"
    for damage in (sidecar.read_text()[:30], "", "[]", "\x00" * 8):
        sidecar.write_text(damage)
        assert not store.has(0)


def test_verify_finds_what_the_size_does_not_tell(store):
    for index in range(4):
        store.write(index, picture(index), {})
    zeros = store.png(1)
    zeros.write_bytes(bytes(zeros.stat().st_size))
    # whole, same length, but other pixels: the picture of frame 3 under the number 2
    store.png(2).write_bytes(store.png(3).read_bytes())
    record = json.loads((store.path / "000002.json").read_text())
    record["bytes"] = store.png(2).stat().st_size
    (store.path / "000002.json").write_text(json.dumps(record))
    assert store.missing() == [4]
    assert store.verify() == [1, 2]
    for index in store.verify():
        store.discard(index)
    assert store.missing() == [1, 2, 4]
    store.discard(1)


def test_a_png_tells_how_it_was_made(store, tmp_path):
    settings = {"seed": 3, "prompt": "Blüte 花 \n\x00", "nested": {"steps": [1, 2.5, None]}}
    store.write(0, picture(0), settings)
    alone = tmp_path / "alone.png"
    store.png(0).rename(alone)
    assert read_settings(alone) == settings
    assert np.array_equal(load_image(alone), picture(0))


def test_pngs_without_settings_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture(0)).save(path)
    with pytest.raises(FrameError, match="no artdiff settings"):
        read_settings(path)
    path.write_text("not a picture")
    with pytest.raises(FrameError, match="as a picture"):
        read_settings(path)
    with pytest.raises(FrameError, match="does not exist"):
        load_image(tmp_path / "none.png")


def test_equal_input_gives_equal_bytes(tmp_path):
    contents = []
    for name in ("one", "two"):
        store = FrameStore.open(tmp_path / name, SETTINGS, 1)
        store.write(0, picture(0), {"b": 1, "a": 2} if name == "one" else {"a": 2, "b": 1})
        contents.append({path.name: path.read_bytes() for path in store.path.iterdir()})
    assert contents[0] == contents[1]


def test_big_numbers_and_wrong_numbers(tmp_path):
    store = FrameStore.open(tmp_path, SETTINGS, 2_000_000)
    store.write(1_234_567, picture(0), {})
    assert (tmp_path / "1234567.png").is_file()
    assert store.has(1_234_567) and not store.has(123_456)
    for wrong in (-1, 2_000_000):
        with pytest.raises(IndexError):
            store.write(wrong, picture(0), {})
    FrameStore.open(tmp_path, SETTINGS, 1, fresh=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["render.json"]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(store, wrong):
    with pytest.raises(ValueError, match="a frame is uint8"):
        store.write(0, wrong, {})
    assert sorted(path.name for path in store.path.iterdir()) == ["render.json"]


def test_settings_that_json_cannot_say_are_refused(store):
    with pytest.raises(TypeError):
        store.write(0, picture(0), {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="JSON"):
        store.write(0, picture(0), {"a": float("nan")})
    assert store.present() == []


def test_paths_names_what_is_missing(store):
    store.write(1, picture(1), {})
    with pytest.raises(FrameError, match=r"lacks 4 of 5 frames \(0, 2, 3, 4\)"):
        store.paths()


def test_not_contiguous_arrays_are_written_right(store):
    image = picture(0)[::-1, ::2]
    store.write(0, image, {})
    assert np.array_equal(store.read(0), image)
    assert store.verify() == []


def test_a_store_travels_to_a_worker(store):
    other = pickle.loads(pickle.dumps(store))
    other.write(0, picture(0), {})
    assert store.present() == [0]


WORKER = """
import sys, numpy as np
from artdiff.frames import FrameStore
store = FrameStore.open(sys.argv[1], {"seed": 1}, 30)
print("ready", flush=True)
sys.stdin.readline()
for again in range(3):
    for index in range(30):
        FrameStore.open(sys.argv[1], {"seed": 1}, 30)
        store.write(index, np.full((16, 16, 3), index, np.uint8), {"index": index})
"""


def test_two_processes_in_one_folder(tmp_path):
    """Both write all frames, three times over, and sweep temporary files in between."""
    folder = tmp_path / "film"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=300)
        assert worker.returncode == 0
    store = FrameStore.existing(folder)
    assert store.missing() == [] and store.verify() == []
    assert len(list(folder.iterdir())) == 61


def test_threads_on_one_frame(store):
    """Threads share a process number, so only the random part keeps their files apart."""
    names = {files.temp_beside(store.png(0)) for _ in range(50)}
    assert len(names) == 50
    with ThreadPoolExecutor(8) as pool:
        for written in [pool.submit(store.write, 0, picture(0, 64), {}) for _ in range(40)]:
            written.result()
    assert store.present() == [0] and store.verify() == []


def test_who_comes_second_with_other_settings_is_refused(tmp_path, monkeypatch):
    """Two renders start at once: the other one's render.json lands between look and write."""
    real, calls = os.link, []

    def late(old, new):
        calls.append(new)
        Path(new).write_bytes(Path(old).read_bytes().replace(b'"steps": 20', b'"steps": 16'))
        real(old, new)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(FrameError, match=r"sampler\.steps: 16 there, 20 here"):
        FrameStore.open(tmp_path, SETTINGS, 1)
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["render.json"]


def test_file_systems_without_links(tmp_path, monkeypatch):
    def refuse(old, new):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    FrameStore.open(tmp_path, SETTINGS, 1)
    assert FrameStore.existing(tmp_path).manifest == SETTINGS


@pytest.fixture
def disk(small_disk):
    with small_disk("128k") as folder:
        yield folder


def test_a_full_disk_keeps_what_is_finished(disk):
    store = FrameStore.open(disk / "film", SETTINGS, 50)
    with pytest.raises(MachineError, match=r"No space left.*; (\d+) finished frames") as caught:
        for index in range(50):
            store.write(index, picture(index, 80), {})
    done = store.present()
    assert done and f"; {len(done)} finished frames are kept in {store.path}" in str(caught.value)
    assert store.verify() == []
    assert not [path for path in store.path.iterdir() if path.name.startswith(".")]
    if len(done) < 50:  # with room made, the render goes on
        store.discard(done[0])
        store.write(done[0], picture(done[0], 40), {})


def test_a_read_only_disk(disk):
    store = FrameStore.open(disk / "film", SETTINGS, 3)
    store.write(0, picture(0), {})
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(MachineError, match="1 finished frames are kept"):
        store.write(1, picture(1), {})
    with pytest.raises(MachineError, match="cannot remove"):
        store.discard(0)
    with pytest.raises(MachineError, match="cannot make the folder"):
        FrameStore.open(disk / "other", SETTINGS, 1)
    with pytest.raises(MachineError, match="cannot use the folder"):
        FrameStore.open(store.path, SETTINGS, 4)
    # looking and reading go on working
    assert FrameStore.open(store.path, SETTINGS, 3).present() == [0]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_errors_of_the_machine(store, monkeypatch, step, code):
    """The same without a mount: the failing system call is the only thing replaced."""
    store.write(0, picture(0), {})

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(MachineError, match=f"{os.strerror(code)}; 1 finished frames are kept in"):
        store.write(1, picture(1), {})
    assert store.present() == [0]
    assert not [path for path in store.path.iterdir() if path.name.startswith(".")]


def test_a_picture_of_sixteen_bits_and_one_that_lies_on_its_side(tmp_path):
    ramp = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    eight = np.round(ramp / 257).astype(np.uint8)
    assert np.array_equal(load_image(tmp_path / "deep.png"), np.repeat(eight[..., None], 3, 2))
    assert np.array_equal(load_mask(tmp_path / "deep.png"), eight)
    lying = Image.new("RGB", (6, 4), "white")
    lying.putpixel((0, 0), (255, 0, 0))
    exif = lying.getexif()
    exif[0x0112] = 6  # of the Exif standard: a quarter turn clockwise shows it upright
    lying.save(tmp_path / "lying.png", exif=exif)
    found = load_image(tmp_path / "lying.png")
    assert found.shape == (6, 4, 3) and tuple(found[0, 3]) == (255, 0, 0)
