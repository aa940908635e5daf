"""Guidance: losses and projections around a denoiser."""
