"""Measuring models: features of pictures, distances between sets of them, intervals, a report."""
