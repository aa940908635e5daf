"""Animated WebP, one frame in memory at a time.

ffmpeg and pillow both write it through libwebp's animation encoder, which drops a frame that
equals the one before and keeps all frames until the end; pillow's reader holds the whole file
twice. So pillow compresses and decodes single pictures here, and these lines put them in a row
(RFC 9649, section 2.7).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from artdiff.errors import VideoError
from artdiff.files import on_disk


def write_webp(
    temp: Path,
    images: Iterator[np.ndarray],
    size: tuple[int, int],
    rate: Fraction,
    quality: int,
    loop: int,
) -> int:
    """Write pictures of one size, (width, height), to a file; returns how many there were.

    Raises VideoError for pictures or a film that WebP cannot hold, MachineError for the disk.
    """
    if max(size) > 16383:
        raise VideoError(f".webp holds at most 16383 pixels a side, not {max(size)}; write .mp4")
    count = 0
    canvas = _to_int24(size[0] - 1) + _to_int24(size[1] - 1)
    with on_disk(temp.parent):
        temp.write_bytes(
            b"RIFF\0\0\0\0WEBP"
            + _chunk(b"VP8X", b"\x02\0\0\0" + canvas)
            + _chunk(b"ANIM", b"\0\0\0\xff" + struct.pack("<H", loop))
        )
    for image in images:
        # whole milliseconds that sum up to the right time
        length = round((count + 1) * 1000 / rate) - round(count * 1000 / rate)
        header = b"\0" * 6 + canvas + _to_int24(length) + b"\x02"
        frame = _chunk(b"ANMF", header + _still_webp(image, quality))
        with on_disk(temp.parent), open(temp, "ab") as file:
            file.write(frame)
        count += 1
    length = temp.stat().st_size - 8
    if length >= 2**32 - 10:
        raise VideoError(".webp holds at most 4 GiB; write .mp4")
    with on_disk(temp.parent), open(temp, "rb+") as file:
        file.seek(4)
        file.write(struct.pack("<I", length))
    return count


def _still_webp(image: np.ndarray, quality: int) -> bytes:
    """The bitstream chunk of a lossy WebP picture, without its file header."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=4)
    data = buffer.getvalue()
    at = 12
    while data[at : at + 4] != b"VP8 ":
        at += 8 + _padded_length(data, at)
    return data[at : at + 8 + _padded_length(data, at)]


def _padded_length(data: bytes, at: int) -> int:
    (length,) = struct.unpack_from("<I", data, at + 4)
    return length + length % 2


def _chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _to_int24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def probe_webp(file: Path) -> tuple[int, int, int, float, str]:
    """Decode a whole film: width, height, frames, seconds, and pillow's mode in lower case.

    Raises VideoError when it is none or damaged.
    """
    frames, milliseconds, mode = 0, 0, ""
    canvas = (0, 0)
    try:
        for name, payload in _chunks(file):
            if name == b"VP8X":
                canvas = (_int24(payload, 4) + 1, _int24(payload, 7) + 1)
            elif name == b"ANMF":
                frames += 1
                milliseconds += _int24(payload, 12)
                with Image.open(io.BytesIO(_as_still(payload))) as image:
                    image.load()
                    mode = image.mode.lower()
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise VideoError(f"{file.name} is no whole film: {error}") from error
    if not frames or milliseconds <= 0:
        raise VideoError(f"{file.name} is no film but a still picture")
    return canvas[0], canvas[1], frames, milliseconds / 1000, mode


def _chunks(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a WebP file. Raises ValueError where it is cut off."""
    with open(file, "rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            raise ValueError("it does not begin like WebP")
        end = 8 + struct.unpack_from("<I", head, 4)[0]
        if end > file.stat().st_size:
            raise ValueError("it is cut off")
        while stream.tell() < end:
            name, length = struct.unpack("<4sI", stream.read(8))
            payload = stream.read(length)
            if len(payload) != length:
                raise ValueError("it is cut off")
            stream.read(length % 2)
            yield name, payload


def _as_still(payload: bytes) -> bytes:
    """The content of an ANMF chunk as a WebP file of its own."""
    inner = payload[16:]
    if inner[:4] == b"ALPH":
        inner = _chunk(b"VP8X", b"\x10\0\0\0" + payload[6:12]) + inner
    return _chunk(b"RIFF", b"WEBP" + inner)


def _int24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
