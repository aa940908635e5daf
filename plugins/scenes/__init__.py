"""Scenes: a procedural dataset of captioned illustrations (hookimpls only)."""

from __future__ import annotations
