"""The notebook of the examples runs from its first to its last cell, offline, and shows results richly."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="the extra `notebook` is not installed")
pytest.importorskip("ipykernel", reason="the extra `notebook` is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.filterwarnings("ignore")  # of the Jupyter packages, not ours
def test_the_notebook_runs_and_shows_tables_and_charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat

    for name in ("notebooks", "named_entity_recognition"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    monkeypatch.setenv("GENAIOPS_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SMALL_MODEL_API_KEY", raising=False)
    notebook = nbformat.read(tmp_path / "notebooks" / "local_experiment.ipynb", as_version=4)

    client = nbclient.NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    )
    client.execute()

    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    text = "".join(output.get("text", "") for output in shown)
    assert all(output["output_type"] != "error" for output in shown)
    assert "<table" in pages[0]
    assert "<svg" in pages[0]
    assert "find_entities.asked" in pages[0]
    assert "0 model calls, 96 results kept" in text


def test_the_notebook_is_kept_without_outputs() -> None:
    import nbformat

    notebook = nbformat.read(EXAMPLES / "notebooks" / "local_experiment.ipynb", as_version=4)

    assert [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
