"""The notebooks of the docs run from top to bottom in a real kernel; cells that keep a run, twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs").rglob("*.ipynb"))
# What zmq and Jupyter say of themselves is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def notebook(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the person who runs this is read or written."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    path: Path = request.param
    return path


each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem, indirect=True)


@each
def test_a_notebook_is_kept_without_what_it_printed(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@each
def test_a_notebook_runs_and_what_it_keeps_is_read_again(notebook: Path) -> None:
    found = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(found, timeout=600, resources={"metadata": {"path": str(notebook.parent)}})
    with client.setup_kernel():
        first = [executed(client, place) for place in range(len(found.cells))]
        keeping = [place for place, cell in enumerate(found.cells) if "out=folder" in cell["source"]]
        again = [executed(client, place) for place in keeping]
    assert keeping
    shown = {kind for outputs in first for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/svg+xml"} <= shown
    assert "<script" not in json.dumps(first)
    assert [texts(first[place]) for place in keeping] == [texts(outputs) for outputs in again]


def executed(client: NotebookClient, place: int) -> list[dict[str, Any]]:
    """What a cell shows, but for what was cleared again. An error in it raises."""
    cell = client.nb.cells[place]
    if cell["cell_type"] == "code":
        client.execute_cell(cell, place)
    outputs = [dict(output) for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "stream"] == []
    return [output for output in outputs if output["data"].get("text/plain")]


def texts(outputs: list[dict[str, Any]]) -> list[str]:
    """The plain text of each."""
    return [output["data"]["text/plain"] for output in outputs]
