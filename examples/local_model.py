"""Serve a small model on this machine, as an OpenAI-compatible server at http://127.0.0.1:18301/v1.

Needs the extra `local`: pip install 'genaiops[local]'. See docs/how-to/local-model.md.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

PORT = 18301


def main(model: Path) -> None:
    try:
        import xllamacpp
    except ImportError:
        sys.exit("error: xllamacpp is not installed; install it with: pip install 'genaiops[local]'")
    if not model.is_file():
        sys.exit(f"error: there is no model at {model}")
    options = xllamacpp.CommonParams()
    options.model.path = str(model)
    options.model_alias = {"SmolLM2-135M-Instruct-Q4_1"}
    options.hostnames = ["127.0.0.1"]
    options.port = PORT
    options.n_ctx = 8192
    options.n_parallel = 2
    options.use_jinja = True
    # One thread: more of them wait for each other on a busy machine.
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(options)  # it serves as long as this object lives
    print(f"ready http://127.0.0.1:{PORT}/v1 (Ctrl-C ends it)", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        del server


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/local_model.py MODEL.gguf")
    main(Path(sys.argv[1]))
