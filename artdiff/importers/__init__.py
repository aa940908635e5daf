"""Importers: from files of other programs to what artdiff reads."""
