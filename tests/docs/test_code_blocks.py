"""Every `sh` and `python` block of the docs runs, in the order of its page, in a scratch copy of the examples.

A block that cannot run here says why: ```` ```sh skip="needs a cluster" ````. A block that is meant to fail says its
exit code: ```` ```sh exit=3 ````. What a page says that a block prints is compared with what it prints:
```` ```text printed="above" ````, where … stands for what differs from time to time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')
RUN = ("sh", "python")


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    options: dict[str, str]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        options = {name: quoted or plain for name, quoted, plain in OPTION.findall(match["options"])}
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["language"], match["code"], line, options))
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(page) if "skip" not in block.options]
    runnable = [block for block in blocks if block.language in RUN or "printed" in block.options]
    if runnable:
        shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".genaiops", "reports"))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GENAIOPS_HOME": str(tmp_path / "state"),
        "CI": "true",
    }

    printed = ""
    for block in runnable:
        if "printed" in block.options:
            missing = not_printed(block.code, printed)
            assert missing is None, f"{page.relative_to(ROOT)}:{block.line}: not printed: {missing}\n{printed}"
            continue
        command = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
        result = subprocess.run(
            [*command, block.code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert result.returncode == int(block.options.get("exit", "0")), f"{where}\n{result.stdout}\n{result.stderr}"
        printed = result.stdout + result.stderr


def not_printed(told: str, printed: str) -> str | None:
    """The first line that does not follow the ones before it in what was printed; spaces in a row count as one."""
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in (" ".join(line.split()) for line in told.splitlines()):
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        if line not in ("", "…") and not any(pattern.fullmatch(found) for found in lines):
            return line
    return None


def test_every_link_to_a_file_of_the_project_leads_somewhere() -> None:
    links = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", CODE.sub("", page.read_text(encoding="utf-8")))
        if not target.startswith(("http://", "https://", "mailto:"))
    ]

    broken = [f"{page.relative_to(ROOT)}: {target}" for page, target in links if not (page.parent / target).exists()]

    assert broken == []


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT).as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))]

    assert [page for page in pages if f"({page})" not in readme] == []


def test_a_line_that_is_not_printed_or_out_of_order_is_named() -> None:
    printed = "one  1.2 s\n  two [b]\nthree\n"

    assert not_printed("one …\n…\n  two   [b]\n", printed) is None
    assert not_printed("one 1.3 s\n", printed) == "one 1.3 s"
    assert not_printed("three\ntwo [b]\n", printed) == "two [b]"
