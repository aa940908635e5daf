"""``python -m artdiff.cli``."""

from artdiff.cli import main

main()
