"""The tables of docs/story.md, from docs/story.json; bench/story.py writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OWN = {"ddpm": "large", "cosine": "large", "iddpm": "learned", "vlb": "learned", "adm": "learned"}
NUMBERS = {row: number + 1 for number, row in enumerate(OWN)}
STEPS = (10, 25, 50)
LONG = 250
GUIDED = 25
SCORES = ("FD (95 % interval)", "texture FD", "KID", "precision", "recall")
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- /table -->)", re.S)


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Every table by its name."""
    return {
        "compute": _compute(found["rows"]),
        "bits": _bits(found["rows"]),
        "quality": _quality(found["samples"]),
        "steps": _steps(found["samples"]),
        "long": _long(found["samples"]),
        "guidance": _guidance(found["samples"]),
        "cascade": _cascade(found["samples"]),
        "judges": _judges(found),
    }


def write_tables(page: Path, numbers: Path) -> None:
    """Put every table between its marks in the page."""
    made = tables(json.loads(numbers.read_text("utf-8")))
    text = page.read_text("utf-8")
    text = MARK.sub(lambda match: match[1] + made[match[2]] + match[3], text)
    page.write_text(text, "utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _name(row: str) -> str:
    return f"{NUMBERS[row]} {row}"


def _fd(numbers: dict[str, Any] | None, few: str = "") -> str:
    """The distance by the judges' features / by texture."""
    if numbers is None:
        return "-"
    return f"{numbers[f'fd{few}']:.1f} / {numbers[f'texture{few}']:.1f}"


def _interval(numbers: dict[str, Any]) -> str:
    low, high = numbers["fd_low"], numbers["fd_high"]
    return f"{numbers['fd']:.1f} ({low:.1f}-{high:.1f})"


def _scores(numbers: dict[str, Any]) -> list[str]:
    pair = [f"{numbers[key]:.2f}" for key in ("precision", "recall")]
    return [_interval(numbers), f"{numbers['texture']:.1f}", f"{numbers['kid']:.1f}", *pair]


def _compute(rows: dict[str, Any]) -> str:
    lines = []
    for name in (*OWN, "base16", "upsampler"):
        row = rows[name]
        label = _name(name) if name in NUMBERS else f"7 {name}"
        minutes = f"{row['minutes']:.0f}" if "minutes" in row else "-"
        parameters = f"{row['parameters'] / 1e6:.2f}" if "parameters" in row else "-"
        sizes = [parameters, f"{row['macs'] / 1e6:.1f}", f"{row['steps']:,} x {row['batch']}"]
        lines.append([label, *sizes, f"{row['compute'] / 1e12:.2f}", minutes])
    units = ["10^6 parameters", "10^6 multiply-adds a picture", "steps x batch"]
    return _table(["row", *units, "10^12 multiply-adds forward", "minutes"], lines)


def _bits(rows: dict[str, Any]) -> str:
    lines = []
    for name in OWN:
        for kind, bits in rows[name].get("bits", {}).items():
            parts = [f"{bits[part]:.3f}" for part in ("total", "decoder")]
            place = f"{bits['f']:.2f}" if "f" in bits else ""
            lines.append([_name(name), kind, *parts, place])
    return _table(["row", "variance", "bits/dim", "of which t = 0", "mean f"], lines)


def _quality(samples: dict[str, Any]) -> str:
    lines = []
    for name, own in OWN.items():
        found = samples.get(f"{name}-{own}-{STEPS[-1]}")
        if found:
            lines.append([_name(name), own, *_scores(found)])
    lines.append(["other real pictures", "", *_scores(samples["floor"])])
    return _table(["row", "variance", *SCORES], lines)


def _steps(samples: dict[str, Any]) -> str:
    lines = []
    for name, own in OWN.items():
        kinds = [own, "small"] if own == "large" else [own]
        for kind in (*kinds, "ddim"):
            keys = [f"{name}-{kind}-{steps}" for steps in STEPS]
            if any(key in samples for key in keys):
                label = "DDIM" if kind == "ddim" else f"ancestral, {kind}"
                lines.append([_name(name), label, *(_fd(samples.get(key)) for key in keys)])
    return _table(["row", "sampler", *(f"{steps} steps" for steps in STEPS)], lines)


def _long(samples: dict[str, Any]) -> str:
    lines = []
    for name, own in OWN.items():
        if f"{name}-{own}-{LONG}" in samples:
            keys = [f"{name}-{own}-{steps}" for steps in (*STEPS, LONG)]
            lines.append([_name(name), own, *(_fd(samples.get(key), "_few") for key in keys)])
    lines.append(["other real pictures", "", "", "", "", _fd(samples["floor"], "_few")])
    steps = [f"{steps} steps" for steps in (*STEPS, LONG)]
    return _table(["row", "variance", *steps], lines)


def _guidance(samples: dict[str, Any]) -> str:
    lines = []
    for key, label in (("free", "without labels"), ("told", "with labels")):
        for scale in ("0", "0.5", "1", "2", "4", "8"):
            found = samples.get(f"{key}-guided-{scale}")
            if found:
                scores = [f"{found[name]:.2f}" for name in ("precision", "recall", "accuracy")]
                lines.append([label, scale, _fd(found), *scores])
    floor = samples["floor-guided"]
    scores = [f"{floor[name]:.2f}" for name in ("precision", "recall")]
    lines.append(["other real pictures", "", _fd(floor), *scores, ""])
    return _table(
        ["row 5", "scale", "FD / texture FD", "precision", "recall", "scene recognised"], lines
    )


def _cascade(samples: dict[str, Any]) -> str:
    lines = []
    for label, key in (
        ("3 iddpm, 32x32 directly", f"iddpm-learned-{GUIDED}"),
        ("7 base16, then upsampler", f"cascade-learned-{GUIDED}"),
    ):
        found = samples.get(key)
        if found:
            lines.append([label, *_scores(found)])
    return _table(["row", *SCORES], lines)


def _judges(found: dict[str, Any]) -> str:
    lines = []
    for name in ("judge-scene", "judge-style", "classifier"):
        row = found["rows"][name]
        checks = row.get("validation", {})
        shares = [f"{checks[f'accuracy/t = {t}']:.2f}" for t in (0, 125, 250, 500, 750)]
        common = f"{row['commonest']:.2f}" if "commonest" in row else "-"
        lines.append([name, f"{row['steps']:,} x {row['batch']}", *shares, common])
    times = [f"t = {t}" for t in (0, 125, 250, 500, 750)]
    return _table(["recipe", "steps x batch", *times, "commonest class"], lines)
