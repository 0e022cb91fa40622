import json
import stat
import sys
from pathlib import Path

import pytest

from genaiops.connections import ConnectionStore, LocalConnections, shown_definition
from genaiops.errors import ConnectionSettingsError
from genaiops.settings import load_settings

_PLANTED = "planted-secret-1234"
_AZURE = {"$schema": "x", "name": "aoai", "type": "azure_open_ai", "api_base": "https://x", "api_key": _PLANTED}


def _store(folder: Path, environ: dict[str, str] | None = None) -> ConnectionStore:
    return ConnectionStore.load(load_settings(cwd=folder, environ={"GENAIOPS_HOME": str(folder), **(environ or {})}))


def test_a_created_connection_is_found_again(tmp_path: Path) -> None:
    assert LocalConnections(tmp_path).create(_AZURE) == []

    connection = _store(tmp_path).get("aoai")

    assert (connection.api_base, connection.api_key) == ("https://x", _PLANTED)
    assert LocalConnections(tmp_path).names() == ["aoai"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_secrets_stand_in_a_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    LocalConnections(tmp_path).create(_AZURE)
    folder = tmp_path / "connections"

    holders = [path for path in folder.iterdir() if _PLANTED in path.read_text(encoding="utf-8")]

    assert [path.name for path in holders] == ["secrets.json"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_placeholder_stays_a_placeholder(tmp_path: Path) -> None:
    LocalConnections(tmp_path).create({**_AZURE, "api_key": "${env:MY_KEY}"})

    assert not (tmp_path / "connections" / "secrets.json").exists()
    assert _store(tmp_path, {"MY_KEY": "from-env"}).get("aoai").api_key == "from-env"


def test_a_kept_secret_can_be_kept_again(tmp_path: Path) -> None:
    kept = LocalConnections(tmp_path)
    kept.create(_AZURE)

    kept.create({**_AZURE, "api_key": "******", "api_base": "https://y"})
    kept.update("aoai", {"api_version": "2024-06-01"})

    connection = _store(tmp_path).get("aoai")
    assert (connection.api_key, connection.api_base, connection.api_version) == (_PLANTED, "https://y", "2024-06-01")


def test_nothing_kept_cannot_be_kept_again(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match="keeps no 'api_key' yet"):
        LocalConnections(tmp_path).create({**_AZURE, "api_key": "<no-change>"})


@pytest.mark.parametrize("value", ["<user-input>", "", None])
def test_a_secret_that_is_still_to_come_is_named(tmp_path: Path, value: str | None) -> None:
    assert LocalConnections(tmp_path).create({**_AZURE, "api_key": value}) == ["api_key"]


def test_a_dotenv_becomes_a_custom_connection_of_secrets(tmp_path: Path) -> None:
    LocalConnections(tmp_path).create_from_variables({"A": _PLANTED, "B": "x"}, name="mine")

    assert _store(tmp_path).get("mine").secrets == {"A": _PLANTED, "B": "x"}


def test_a_deleted_connection_leaves_no_secret(tmp_path: Path) -> None:
    kept = LocalConnections(tmp_path)
    kept.create(_AZURE)

    kept.delete("aoai")

    assert kept.names() == []
    assert all(_PLANTED not in path.read_text(encoding="utf-8") for path in (tmp_path / "connections").iterdir())
    with pytest.raises(ConnectionSettingsError, match="is not found"):
        kept.delete("aoai")


def test_what_is_shown_holds_no_secret(tmp_path: Path) -> None:
    kept = LocalConnections(tmp_path)
    kept.create(_AZURE)

    shown = [shown_definition(item) for item in kept.definitions()]

    assert _PLANTED not in json.dumps(shown)
    assert shown[0]["api_key"] == "******"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 300])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConnectionSettingsError, match="cannot be called"):
        LocalConnections(tmp_path).create({**_AZURE, "name": name})
