"""Films: encode frames into MP4, WebM, GIF or WebP as they come, and check the finished file."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import imageio_ffmpeg
import numpy as np

from artdiff.errors import MachineError, VideoError
from artdiff.files import on_disk, sweep_temps, temp_beside
from artdiff.film.webp import probe_webp, write_webp
from artdiff.frames import FrameStore, load_image

if TYPE_CHECKING:
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

Frames: TypeAlias = FrameStore | Iterable[np.ndarray | str | os.PathLike[str]]
Fps: TypeAlias = int | float | str | Fraction


@dataclass(frozen=True)
class Format:
    """What a suffix means: codec, pixel format, shortest time step in seconds, highest fps."""

    codec: str
    pix_fmt: str | None
    tick: float
    max_fps: int


# Browsers slow down GIF delays below 2/100 s and WebP delays below 11 ms; WebM counts in ms.
FORMATS = {
    ".mp4": Format("h264", "yuv420p", 0.0, 1000),
    ".webm": Format("vp9", "yuv420p", 0.001, 500),
    ".gif": Format("gif", None, 0.01, 50),
    ".webp": Format("webp", None, 0.001, 90),
}
_BROADCAST = {23.976: 24, 29.97: 30, 47.952: 48, 59.94: 60, 119.88: 120}


@dataclass(frozen=True)
class Probe:
    """What a film file holds, found by decoding all of it.

    Sizes in pixels, ``duration`` in seconds, ``fps`` the mean (frames / duration).
    """

    width: int
    height: int
    fps: float
    frames: int
    codec: str
    pix_fmt: str
    duration: float


@dataclass(frozen=True)
class Film:
    """A finished film; ``notes`` says in whole sentences what was done that nobody asked for."""

    path: Path
    probe: Probe
    notes: tuple[str, ...] = ()


def encode(
    frames: Frames,
    fps: Fps,
    path: str | os.PathLike[str],
    *,
    quality: int = 85,
    loop: int = 0,
    on_frame: Callable[[int], None] | None = None,
) -> Film:
    """Write frames, uint8 (H, W, 3) arrays or picture files, as a film; its suffix says how.

    ``.mp4`` is H.264 and ``.webm`` VP9, both yuv420p, which needs even sizes: an odd picture gets
    one more column or row, a copy of its last one, and a note. ``.gif`` has 256 colours for each
    frame. ``.webp`` is animated WebP.

    ``fps`` is a number, a fraction such as ``24000/1001``, or its usual short form 23.976.
    ``quality`` is 1 to 100: the CRF of H.264 is 40 - 0.28 q, of VP9 60 - 0.42 q, for WebP it is
    the quality itself, for GIF nothing. ``loop`` is how often GIF and WebP play, 0 for ever; a
    player decides that for the others. ``on_frame(i)`` is called after frame i was taken.

    One frame is in memory at a time. The file appears under its name when it is finished and
    found to hold each frame; until then an older film of that name stays.

    Raises VideoError (suffix, fps, quality, no frames, frames that differ in size, a film that
    is not as asked), FrameError (frames that cannot be read), MachineError (disk, permission).
    """
    target = Path(path).absolute()
    form = _format_of(target)
    rate = parse_fps(fps)
    if rate > form.max_fps:
        raise VideoError(
            f"{target.suffix} plays at most {form.max_fps} frames a second in browsers, not "
            f"{float(rate):g}; lower fps or write .mp4"
        )
    if not 1 <= quality <= 100:
        raise VideoError(f"quality is 1 to 100, not {quality}")
    if not 0 <= loop <= 65535:
        raise VideoError(f"loop is how often to play, 0 (for ever) to 65535, not {loop}")
    if target.is_dir():
        raise VideoError(f"{target} is a folder; give the film a name in it")

    images = _images(frames)
    first = next(images, None)
    if first is None:
        raise VideoError(f"no frames to write into {target.name}; render some first")
    height, width = first.shape[:2]
    even = form.pix_fmt == "yuv420p"
    size = (width + width % 2, height + height % 2) if even else (width, height)
    stream = _padded(_watched(chain((first,), images), on_frame), size)
    temp = temp_beside(target)
    try:
        with on_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep_temps(target.parent, target.name)
        if form.codec == "webp":
            count = write_webp(temp, stream, size, rate, quality, loop)
        else:
            count = _write_ffmpeg(temp, stream, size, rate, quality, loop)
        found = probe(temp)
        _check(target.name, form, found, size, rate, count)
        with on_disk(target):
            with open(temp, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)
    return Film(target, found, _notes((width, height), size))


def parse_fps(fps: Fps) -> Fraction:
    """Frames a second as an exact fraction; 23.976, 29.97 and such are N * 1000/1001.

    Raises VideoError outside 0.1 to 1000, or for what is no number.
    """
    try:
        exact = Fraction(fps)
        known = _BROADCAST.get(round(float(exact), 3))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        raise VideoError(f"fps {fps!r} is no number; write 24 or 24000/1001") from None
    if known and abs(exact - Fraction(known * 1000, 1001)) < Fraction(1, 1000):
        exact = Fraction(known * 1000, 1001)
    if not Fraction(1, 10) <= exact <= 1000:
        raise VideoError(f"fps {fps} is outside 0.1 to 1000; write 24, say")
    return exact.limit_denominator(100_000)


def _format_of(target: Path) -> Format:
    form = FORMATS.get(target.suffix.lower())
    if form is None:
        raise VideoError(f"{target.name}: a film's name ends in one of {', '.join(FORMATS)}")
    return form


def _images(frames: Frames) -> Iterator[np.ndarray]:
    """The frames one after the other, each checked against the first."""
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames.paths() if isinstance(frames, FrameStore) else frames):
        image = frame if isinstance(frame, np.ndarray) else load_image(frame)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise VideoError(f"frame {index} is {image.dtype} {image.shape}, not uint8 (H, W, 3)")
        shape = shape or image.shape
        if image.shape != shape:
            raise VideoError(
                f"frame {index} is {image.shape[1]}x{image.shape[0]} pixels, the first one "
                f"{shape[1]}x{shape[0]}; a film has one size"
            )
        yield image


def _watched(
    images: Iterator[np.ndarray], on_frame: Callable[[int], None] | None
) -> Iterator[np.ndarray]:
    for index, image in enumerate(images):
        yield image
        if on_frame:
            on_frame(index)


def _padded(images: Iterator[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    for image in images:
        down, right = size[1] - image.shape[0], size[0] - image.shape[1]
        yield np.pad(image, ((0, down), (0, right), (0, 0)), "edge") if down or right else image


def _notes(asked: tuple[int, int], size: tuple[int, int]) -> tuple[str, ...]:
    if asked == size:
        return ()
    return (
        f"The frames are {asked[0]}x{asked[1]}, the film {size[0]}x{size[1]}: yuv420p needs even "
        "sizes, so the last column or row is there twice.",
    )


# Through moviepy: MP4, WebM, GIF.


def _write_ffmpeg(
    temp: Path,
    images: Iterator[np.ndarray],
    size: tuple[int, int],
    rate: Fraction,
    quality: int,
    loop: int,
) -> int:
    codec, params = _arguments(temp.suffix.lower(), rate, quality, loop)
    count = 0
    with _ffmpeg(temp, size, rate, codec, params) as (writer, log):
        for image in images:
            try:
                writer.write_frame(image)
            except OSError as error:  # the pipe broke: ffmpeg has given up and said why
                raise _failure(temp, log) from error
            count += 1
    return count


def _arguments(suffix: str, rate: Fraction, quality: int, loop: int) -> tuple[str, list[str]]:
    """The codec for moviepy's writer, and what it must add to ffmpeg's command."""
    # moviepy tells ffmpeg fps with two decimals only. The frames are numbered anew here: frame n
    # is at n / rate, exactly. Its number still gives how long a frame lasts, which settb rounds
    # to one step of 1 / rate; were it far off, ffmpeg would repeat or drop the last frame.
    timing = f"settb={rate.denominator}/{rate.numerator},setpts=N"
    colours = (
        # without a matrix ffmpeg writes BT.601 and players read BT.709: colours would shift
        ",scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp"
        ",format=yuv420p"
        ",setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    )
    # one palette a frame: a palette for all would make ffmpeg keep the whole film in memory
    palette = (
        ",split[a][b];[a]palettegen=stats_mode=single[p]"
        ";[b][p]paletteuse=new=1:dither=bayer:bayer_scale=4"
    )
    common = ["-nostats", "-r", f"{rate.numerator}/{rate.denominator}", "-fflags", "+bitexact"]
    if suffix == ".gif":
        plays = {0: 0, 1: -1}.get(loop, loop - 1)  # GIF counts the plays after the first
        return "gif", [*common, "-vf", timing + palette, "-loop", str(plays)]
    if suffix == ".webm":
        crf = str(round(60 - 0.42 * quality))
        options = ["-crf", crf, "-b:v", "0", "-deadline", "good", "-cpu-used", "3", "-row-mt", "1"]
        return "libvpx-vp9", [*common, "-vf", timing + colours, *options]
    crf = str(round(40 - 0.28 * quality))
    options = ["-c:v", "libx264", "-crf", crf, "-movflags", "+faststart"]
    # Called libx264, moviepy would force yuva420p on it; called h264, it lets ours stand.
    return "h264", [*common, "-vf", timing + colours, *options]


@contextmanager
def _ffmpeg(
    temp: Path, size: tuple[int, int], rate: Fraction, codec: str, params: list[str]
) -> Iterator[tuple[FFMPEG_VideoWriter, IO[str]]]:
    """moviepy's writer around a running ffmpeg, which is gone when the block ends, however."""
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter  # slow to import

    # a file for ffmpeg's words: nobody reads a pipe, and a full one would stop ffmpeg for ever
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            writer = FFMPEG_VideoWriter(
                str(temp), size, float(rate), codec=codec, logfile=log, ffmpeg_params=params
            )
        except OSError as error:
            raise MachineError(f"cannot start ffmpeg: {error}") from error
        process: Any = writer.proc  # moviepy has no types
        try:
            yield writer, log
            try:
                process.stdin.close()
            except BrokenPipeError as error:
                process.wait()
                raise _failure(temp, log) from error
            # moviepy's close() does not look at how ffmpeg ended
            if process.wait() != 0:
                raise _failure(temp, log)
        finally:
            # after an error or Ctrl-C: ffmpeg must not finish what nobody wants
            if process.poll() is None:
                process.kill()
                process.wait()
            with suppress(BrokenPipeError):  # what it did not read is lost, as it should be
                process.stdin.close()


def _failure(temp: Path, log: IO[str]) -> VideoError | MachineError:
    log.seek(0)
    said = [line.strip() for line in log.read().splitlines() if line.strip()]
    full = [line for line in said if "No space left on device" in line]
    if full:
        return MachineError(f"cannot write into {temp.parent}: the disk is full")
    # the first complaint is the cause, the later ones follow from it
    named = [line for line in said if re.search(r"unknown|error|invalid|fail|cannot", line, re.I)]
    reason = (named or said[-1:] or ["it said nothing"])[0].replace(str(temp), temp.suffix)
    return VideoError(f"ffmpeg could not write the {temp.suffix} film: {reason}")


# Looking at a finished film.


def probe(path: str | os.PathLike[str]) -> Probe:
    """Decode a whole film and say what it holds. Raises VideoError when it is none or damaged."""
    file = Path(path).absolute()
    if not file.is_file():
        raise VideoError(f"{file} does not exist")
    # ffmpeg learned to read animated WebP only lately
    return _probe_webp(file) if file.suffix.lower() == ".webp" else _probe_ffmpeg(file)


def _probe_ffmpeg(file: Path) -> Probe:
    # framecrc decodes and prints one line a frame with its exact time; imageio-ffmpeg has no
    # ffprobe, and its own frame count knows no exact times
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-xerror"]
    command += ["-i", str(file), "-map", "0:v:0", "-fps_mode", "passthrough"]
    command += ["-enc_time_base", "demux", "-f", "framecrc", "-"]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    kind = re.search(r"Video: (\w+)[^,]*, (\w+)(?:\([^)]*\))?, (\d+)x(\d+)", ran.stderr)
    base = re.search(r"^#tb 0: (\d+)/(\d+)", ran.stdout, re.MULTILINE)
    rows = [line.split(",") for line in ran.stdout.splitlines() if line and line[0] != "#"]
    if ran.returncode != 0 or not kind or not base or not rows:
        said = ran.stderr.strip().splitlines() or ["ffmpeg said nothing"]
        raise VideoError(f"{file.name} is no whole film: {said[-1].strip()}")
    ticks = int(rows[-1][2]) + int(rows[-1][3]) - int(rows[0][2])
    duration = float(Fraction(int(base[1]), int(base[2])) * ticks)
    if duration <= 0:
        raise VideoError(f"{file.name} lasts no time")
    width, height = int(kind[3]), int(kind[4])
    return Probe(width, height, len(rows) / duration, len(rows), kind[1], kind[2], duration)


def _probe_webp(file: Path) -> Probe:
    width, height, frames, duration, mode = probe_webp(file)
    return Probe(width, height, frames / duration, frames, "webp", mode, duration)


def _check(
    name: str,
    form: Format,
    found: Probe,
    size: tuple[int, int],
    rate: Fraction,
    count: int,
) -> None:
    """Raise VideoError when a film is not what was asked for."""
    wanted: dict[str, tuple[Any, Any]] = {
        "codec": (found.codec, form.codec),
        "pixel format": (found.pix_fmt, form.pix_fmt or found.pix_fmt),
        "size": (f"{found.width}x{found.height}", f"{size[0]}x{size[1]}"),
        "frames": (found.frames, count),
    }
    wrong = [f"{what} {got}, not {want}" for what, (got, want) in wanted.items() if got != want]
    # the number of frames is exact, so their time is wrong only when fps is
    if abs(found.duration - count / rate) > 2 * form.tick + 1e-6 * count:
        wrong.append(f"fps {found.fps:.3f}, not {float(rate):.3f}")
    if wrong:
        raise VideoError(f"{name} came out wrong ({'; '.join(wrong)}); please report this")
