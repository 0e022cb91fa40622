"""A template that is compiled once and kept where Python keeps compiled modules."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2


def load_template(environment: jinja2.Environment, file: str, text: str) -> jinja2.Template:
    """The template, from its kept form where that is still good.

    It is kept by Python's own machinery, and all that holds for compiled modules holds here: where they are, when none
    are written, that folders may be read-only, that many processes may write at once.

    Args:
        environment: Everything that filters and options decide.
        file: Where the template is; its kept form is found by this name.
        text: What is in it.
    """
    loader = _TemplateLoader(environment, file, text)
    return jinja2.Template.from_code(environment, loader.code(), environment.make_globals(None))


class _TemplateLoader(SourceFileLoader):
    """Lets Python load a template as it loads a module, but for how one is compiled and when it is stale."""

    def __init__(self, environment: jinja2.Environment, file: str, text: str) -> None:
        super().__init__(Path(file).name, file)
        self._environment, self._text = environment, text

    def code(self) -> CodeType:
        try:
            code = self.get_code(self.name)
        except (EOFError, ImportError, TypeError, ValueError):  # the kept form is damaged; let the next one be written
            with suppress(OSError):
                Path(cache_from_source(self.path)).unlink()
            code = None
        return code or self.source_to_code(b"", self.path)

    def get_data(self, path: str) -> bytes:
        return self._text.encode() if path == self.path else super().get_data(path)

    # Static in one base class of the type stubs and a method in the other; later Pythons hand over more arguments.
    def source_to_code(self, data: Any, path: Any, *_: Any, **__: Any) -> CodeType:  # type: ignore[override]
        return self._environment.compile(self._text, filename=str(path))

    def path_stats(self, path: str) -> dict[str, int]:
        """What a kept form is held against: in place of a time, a digest of all that decides what it looks like.

        Raises:
            OSError: That cannot be read; nothing is kept then.
        """
        return {"mtime": int.from_bytes(self._digest()[:4], "little"), "size": len(self._text.encode())}

    def _digest(self) -> bytes:
        digest = hashlib.sha256(f"{jinja2.__version__}\n{self._text}".encode())
        # Constants in a template are filtered when it is compiled.
        functions = [*self._environment.filters.values(), self._environment.finalize]
        for file in sorted({each.__code__.co_filename for each in functions if hasattr(each, "__code__")}):
            digest.update(Path(file).read_bytes())
        return digest.digest()
