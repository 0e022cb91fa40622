"""`genaiops pf connection`: keep, show and delete connections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._app import Group
from genaiops.cli._output import assignments, echo_json
from genaiops.cli._pf_words import ManyWords, common_options, confirmed, nested
from genaiops.cli._session import open_settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore, LocalConnections
    from genaiops.settings import Settings

_NAME = click.option("-n", "--name", required=True, help="Name of the connection.")
_CHANGES = click.option("--set", "changes", multiple=True, metavar="KEY=V…", help="Fields that win over the file.")


@click.group(cls=Group)
def connection() -> None:
    """Keep, show and delete connections of this project. A secret is never shown.

    \b
    Example:
      genaiops pf connection create --file azure_openai.yml --set api_key=$AZURE_OPENAI_API_KEY
    """


@connection.command(cls=ManyWords)
@click.option("-f", "--file", required=True, type=click.Path(path_type=Path), help="A connection file, or a .env file.")
@click.option("-n", "--name", help="Instead of the name in the file.")
@_CHANGES
@common_options
def create(file: Path, name: str | None, changes: tuple[str, ...]) -> None:
    """Keep a connection in the project's state folder; with a .env file every variable becomes a secret of it.

    A secret that the file leaves open is asked for on a terminal; elsewhere its environment variable must be set.

    \b
    Example:
      genaiops pf connection create --file azure_openai.yml --set api_key=$AZURE_OPENAI_API_KEY
    """
    settings = open_settings()
    local = _local(settings)
    if file.name.endswith(".env"):
        if not name:
            raise click.UsageError("A connection from a .env file needs --name.")
        from genaiops.settings import read_dotenv

        local.create_from_variables(read_dotenv(file), name=name)
        _show(settings, name)
        return
    written = {**_read(file), **nested(assignments(changes, option="--set"))}
    chosen = name or str(written.get("name") or "")
    known = chosen in local.names()
    missing = local.create(written, name=chosen)
    _ask_for(settings, local, chosen, missing, known=known)
    _show(settings, chosen)


@connection.command(cls=ManyWords)
@_NAME
@_CHANGES
@common_options
def update(name: str, changes: tuple[str, ...]) -> None:
    """Change fields of a connection that is kept.

    \b
    Example:
      genaiops pf connection update --name aoai --set api_base=https://example.openai.azure.com
    """
    settings = open_settings()
    _local(settings).update(name, _flat(nested(assignments(changes, option="--set"))))
    _show(settings, name)


@connection.command("list")
@click.option("-r", "--max-results", type=click.IntRange(min=1), help="At most so many.")
@click.option("--all-results", is_flag=True, help="All, which is the default.")
@common_options
def list_connections(max_results: int | None, all_results: bool) -> None:
    """Print the connections as JSON: those that are kept, and those of the environment and of files.

    \b
    Example:
      genaiops pf connection list
    """
    settings = open_settings()
    store = _store(settings)
    names = store.names() if all_results else store.names()[:max_results]
    echo_json([_form(store, name) for name in names])


@connection.command()
@_NAME
@common_options
def show(name: str) -> None:
    """Print a connection as JSON, secrets as ******.

    \b
    Example:
      genaiops pf connection show --name aoai
    """
    _show(open_settings(), name)


@connection.command()
@_NAME
@click.option("-y", "--yes", "--assume-yes", is_flag=True, help="Do not ask.")
@common_options
def delete(name: str, yes: bool) -> None:
    """Forget a connection that is kept.

    \b
    Example:
      genaiops pf connection delete --name aoai --yes
    """
    local = _local(open_settings())
    if name in local.names():
        confirmed(f"Delete the connection {name!r}?", yes=yes)
    local.delete(name)


def _read(file: Path) -> dict[str, Any]:
    from genaiops.errors import InputError
    from genaiops.flows import load_yaml

    data = load_yaml(file).data
    if not isinstance(data, dict):
        raise InputError("A connection file holds a mapping with name, type and fields.", file=file, line=1)
    return data


def _flat(changes: dict[str, Any]) -> dict[str, Any]:
    """`configs.x` and `secrets.x` as `x`: fields of one connection have one namespace."""
    inner = {key: changes.pop(key, None) or {} for key in ("configs", "secrets")}
    return {**changes, **inner["configs"], **inner["secrets"]}


def _ask_for(settings: Settings, local: LocalConnections, name: str, missing: list[str], *, known: bool) -> None:
    """Secrets that nothing sets: from a person on a terminal.

    Raises:
        ConnectionSettingsError: Nobody can be asked. A connection that was not there before is not kept.
    """
    unset = [item.field for item in _store(settings).missing([name])] if missing else []
    if not unset:
        return
    if sys.stdin.isatty():
        local.update(name, {field: click.prompt(f"{name}.{field}", hide_input=True, err=True) for field in unset})
        return
    from genaiops.connections import missing_values_error

    problem = missing_values_error(_store(settings).missing([name]))
    if not known:
        local.delete(name)
    raise problem


def _show(settings: Settings, name: str) -> None:
    echo_json(_form(_store(settings), name))


def _form(store: ConnectionStore, name: str) -> dict[str, Any]:
    """A connection as prompt flow prints it: fields flat, those of a custom connection under configs and secrets."""
    described = store.describe(name)
    fields = {key: item.get("value") if isinstance(item, dict) else item for key, item in described["fields"].items()}
    form: dict[str, Any] = {"name": name, "module": "promptflow.connections", "type": described["type"]}
    if described["type"] == "custom":
        secret = {key for key, value in fields.items() if value == "******"}
        form["configs"] = {key: value for key, value in fields.items() if key not in secret}
        form["secrets"] = {key: value for key, value in fields.items() if key in secret}
        return form
    return form | fields


def _local(settings: Settings) -> LocalConnections:
    from genaiops.connections import LocalConnections

    return LocalConnections(settings.state)


def _store(settings: Settings) -> ConnectionStore:
    from genaiops.connections import ConnectionStore

    return ConnectionStore.load(settings, folders=[Path.cwd()])
