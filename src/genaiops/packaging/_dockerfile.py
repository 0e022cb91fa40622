"""A readable Dockerfile for those who build with a container engine: it copies the same tree the layers hold."""

from __future__ import annotations

import json

from genaiops.packaging._layout import BaseImage
from genaiops.packaging._package import Package

PORT = 8080
PORT_VARIABLE = "GENAIOPS_PORT"
# Raises unless it is 200.
HEALTH_SCRIPT = (
    "import os, urllib.request as r; "
    f"r.urlopen('http://127.0.0.1:' + os.environ['{PORT_VARIABLE}'] + '/readyz', timeout=3)"
)


def dockerfile(package: Package, base: BaseImage, *, labels: dict[str, str]) -> str:
    """The Dockerfile that stands beside the tree `app/`."""
    if "@sha256:" in base.name:
        python, source = base.python, f"FROM {base.name}"
    else:
        python = "python3"
        source = (
            f"# The base was {base.name}, which no registry has: any image with Python {base.python_version} does.\n"
            f"ARG BASE=docker.io/library/python:{base.python_version}-slim\nFROM ${{BASE}}"
        )
    label_lines = " \\\n      ".join(f"{key}={_quoted(value)}" for key, value in sorted(labels.items()))
    needed = ", ".join([*package.connections]) or "none"
    return f"""# {package.name}: an image that serves the flow on port {PORT}.
# Connections that must be given where it runs (as environment variables): {needed}
{source}
LABEL {label_lines}
COPY app/ /app/
ENV PYTHONPATH=/app/lib PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GENAIOPS_HOME=/tmp/genaiops {PORT_VARIABLE}={PORT}
WORKDIR /app
USER 10001:10001
EXPOSE {PORT}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["{python}", "-c", "{HEALTH_SCRIPT}"]
ENTRYPOINT ["{python}", "-m", "genaiops", "serve", "/app", "--host", "0.0.0.0"]
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")
