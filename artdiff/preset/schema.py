"""The JSON Schema of presets, with the options of everything that plugins offer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from artdiff.curve import Curve
from artdiff.preset import Preset
from artdiff.registry import Registry


def preset_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (2020-12) of a preset file, for editors."""
    schema = Preset.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "artdiff preset"
    properties = schema["properties"]
    properties["extends"] = {
        "type": "string",
        "description": "Name or path of the preset that this one changes.",
    }
    text = {"type": "string"}
    mix = {
        "anyOf": [text, {"type": "array", "items": {"anyOf": [text, {"$ref": "#/$defs/Prompt"}]}}]
    }
    properties["prompt"] = mix | {"description": properties["prompt"].get("description", "")}
    properties["prompts"] = {
        "type": "object",
        "description": properties["prompts"].get("description", ""),
        "patternProperties": {r"^\d+(\.\d+)?\s*(%|s)?$": mix},
        "additionalProperties": False,
    }
    properties["model"]["examples"] = list(registry.entries("models"))
    parts = schema["$defs"]
    _extend(parts["SamplerPart"], registry, "samplers", "name")
    _extend(parts["GridPart"], registry, "grids", "name")
    grid = parts["SamplerPart"]["properties"]["grid"]
    either = [{"enum": list(registry.entries("grids"))}, {"$ref": "#/$defs/GridPart"}]
    parts["SamplerPart"]["properties"]["grid"] = {
        "anyOf": either,
        "default": "linear-t",
        "description": grid["description"],
    }
    _extend(parts["GuidancePart"], registry, "guiders", "name")
    _extend(parts["FramesPart"], registry, "frame_sources", "source")
    properties["terms"] = _labelled(registry, "guidance", properties["terms"], parts)
    properties["effects"] = _labelled(registry, "effects", properties["effects"], parts)
    return schema


def _options(model: type[BaseModel], parts: dict[str, Any]) -> dict[str, Any]:
    """The schemas of a class's options; what they refer to goes into `parts`."""
    schema = model.model_json_schema()
    parts |= schema.get("$defs", {})
    return schema.get("properties", {})


def _animated(option: dict[str, Any]) -> dict[str, Any]:
    """An option of a term may be a table of keyframes as well; numbers have an easing there."""
    curve = TypeAdapter(Curve).json_schema()["anyOf"][1]
    value = {key: said for key, said in option.items() if key not in ("default", "description")}
    keyframes = curve | {"patternProperties": dict.fromkeys(curve["patternProperties"], value)}
    kinds = {kind.get("type") for kind in option.get("anyOf", [option])}
    if not kinds & {"number", "integer"}:
        keyframes.pop("properties")
    return {"anyOf": [option, keyframes], "description": option.get("description", "")}


def _extend(part: dict[str, Any], registry: Registry, kind: str, key: str) -> None:
    """Name the known classes and allow the options of each."""
    entries = registry.entries(kind)
    part["properties"][key]["enum"] = list(entries)
    part["additionalProperties"] = False
    for entry in entries.values():
        for name, field in entry.value.Options.model_json_schema().get("properties", {}).items():
            note = f"({entry.name}) {field.get('description', '')}"
            part["properties"].setdefault(name, {"description": note})


def _labelled(
    registry: Registry, kind: str, field: dict[str, Any], parts: dict[str, Any]
) -> dict[str, Any]:
    """A table of labelled terms or effects; a label that is a class's name has its options."""
    common: dict[str, Any] = {"use": {"enum": list(registry.entries(kind))}}
    if kind == "guidance":
        common["weight"] = _animated({"type": "number", "description": "Strength; keyframes too."})
        common["course"] = TypeAdapter(Curve).json_schema() | {
            "description": "What multiplies the weight on the way from noise to picture."
        }
    tables = {}
    for entry in registry.entries(kind).values():
        options = _options(entry.value.Options, parts)
        if kind == "guidance":
            options = {name: _animated(option) for name, option in options.items()}
        tables[entry.name] = {"type": "object", "properties": common | options}
    return {
        "type": "object",
        "description": field.get("description", ""),
        "properties": tables,
        "additionalProperties": {"type": "object", "properties": common},
    }
