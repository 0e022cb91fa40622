"""What prompt flow's packages brought with them and flow code came to rely on without asking for it.

A flow that lists `promptflow` and imports `requests` worked because of prompt flow's own requirements. We stand in for
prompt flow and bring less, so such imports become requirements of the flow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Import name -> requirement, for what prompt flow 1.18 required directly or through its own requirements.
_BROUGHT = {
    "azure.identity": "azure-identity",
    "azure.ai.ml": "azure-ai-ml",
    "dotenv": "python-dotenv",
    "fastapi": "fastapi",
    "filetype": "filetype",
    "flask": "flask",
    "httpx": "httpx",
    "jinja2": "jinja2",
    "jsonschema": "jsonschema",
    "marshmallow": "marshmallow",
    "numpy": "numpy",
    "openai": "openai",
    "pandas": "pandas",
    "PIL": "pillow",
    "psutil": "psutil",
    "pydantic": "pydantic",
    "requests": "requests",
    "ruamel.yaml": "ruamel.yaml",
    "sqlalchemy": "sqlalchemy",
    "tabulate": "tabulate",
    "tiktoken": "tiktoken",
    "yaml": "pyyaml",
}
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE)
_SKIPPED = frozenset({"__pycache__", "venv", ".venv", "node_modules", ".promptflow"})
_LARGEST_BYTES = 1 << 20


def brought_along(folder: Path, requirements: Path) -> list[str]:
    """Requirements of a flow that nobody wrote down because prompt flow had them; none when it lists no prompt flow.

    Args:
        folder: The flow's folder, whose Python files are looked through.
        requirements: Its requirements file.
    """
    if not re.search(r"^\s*promptflow", requirements.read_text(encoding="utf-8-sig"), re.MULTILINE | re.IGNORECASE):
        return []
    names = set(_imports(folder))
    own = {path.stem for path in folder.rglob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    return [
        wanted
        for module, wanted in _BROUGHT.items()
        if module.partition(".")[0] not in own and any(n == module or n.startswith(f"{module}.") for n in names)
    ]


def _imports(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        if _SKIPPED.isdisjoint(path.parts) and path.stat().st_size <= _LARGEST_BYTES:
            for match in _IMPORT.finditer(path.read_text(encoding="utf-8", errors="replace")):
                if match[1]:
                    yield match[1]
                else:
                    yield from (name.split(" as ")[0].strip() for name in match[2].split(","))
