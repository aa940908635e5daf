"""Tuned steps: found for a model, kept beside it."""
