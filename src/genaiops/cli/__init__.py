"""The command line: turn the words into one call of the library and print what comes back."""

from genaiops.cli._main import main

__all__ = ["main"]
