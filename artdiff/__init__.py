"""artdiff."""
