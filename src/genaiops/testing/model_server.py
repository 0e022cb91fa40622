"""`python -m genaiops.testing.model_server`: the stand-in for a model server as a process of its own.

It prints one line, `ready http://127.0.0.1:PORT`, when it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from genaiops.testing._model_server import ModelServer, ModelServerOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    host, port, options = _parse(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        _run(host, port, options)
    return 0


def _parse(arguments: Sequence[str] | None) -> tuple[str, int, ModelServerOptions]:
    parser = argparse.ArgumentParser(prog="python -m genaiops.testing.model_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rules", type=Path, help='JSON file: [["regular expression", "reply"], ...]')
    for option in fields(ModelServerOptions):
        if option.name == "rules":
            continue
        flag = "--" + option.name.replace("_", "-")
        if isinstance(option.default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            kind = type(option.default) if option.default is not None else str
            parser.add_argument(flag, type=kind, default=option.default)
    given = vars(parser.parse_args(arguments))
    host, port, rules = given.pop("host"), given.pop("port"), given.pop("rules")
    pairs = [tuple(pair) for pair in json.loads(rules.read_text(encoding="utf-8"))] if rules else ()
    return host, port, ModelServerOptions(**given, rules=pairs)


def _run(host: str, port: int, options: ModelServerOptions) -> None:
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(host, port, options))


async def _serve(host: str, port: int, options: ModelServerOptions) -> None:
    async with ModelServer(options, host=host, port=port) as server:
        sys.stdout.write(f"ready {server.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
