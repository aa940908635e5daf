"""Frames together: films, sheets, strips, and how evenly they change."""
