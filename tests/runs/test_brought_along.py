"""Imports that worked because of prompt flow's own requirements."""

from __future__ import annotations

from pathlib import Path

from genaiops.runs._brought_along import brought_along


def flow(folder: Path, requirements: str, code: str) -> tuple[Path, Path]:
    (folder / "tool.py").write_text(code)
    (folder / "requirements.txt").write_text(requirements)
    return folder, folder / "requirements.txt"


def test_what_prompt_flow_brought_and_the_code_imports_is_a_requirement(tmp_path: Path) -> None:
    code = (
        "import os, requests as r\nfrom dotenv import load_dotenv\n    import bs4\nfrom azure.ai.ml import MLClient\n"
    )

    assert brought_along(*flow(tmp_path, "promptflow\nbs4\n", code)) == [
        "azure-ai-ml",
        "python-dotenv",
        "requests",
    ]


def test_a_flow_that_does_not_list_prompt_flow_gets_nothing(tmp_path: Path) -> None:
    assert brought_along(*flow(tmp_path, "numpy\n", "import requests\n")) == []


def test_a_module_of_the_flow_itself_is_no_requirement(tmp_path: Path) -> None:
    (tmp_path / "requests.py").write_text("")

    assert brought_along(*flow(tmp_path, "promptflow-tools\n", "import requests\n")) == []
