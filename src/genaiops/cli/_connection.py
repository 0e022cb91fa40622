"""`genaiops connection list|check`: which models and services are reachable, and where each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._app import Group
from genaiops.cli._output import echo_json, say, seconds, table
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import nearby_folders, open_store

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.settings import Settings

WRONG_INPUT = 2

_WHERE = click.option(
    "--path",
    default=".",
    type=ExistingPath(file_okay=False),
    help="The flow or use case whose connections are meant.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=Group)
def connection() -> None:
    """See which models and services are reachable. A secret is never shown.

    A connection comes from environment variables (AOAI_API_KEY, AOAI_API_BASE, … make the connection aoai), .env,
    experiment.yaml or connection files, in this order.

    \b
    Example:
      genaiops connection list
    """


@connection.command("list")
@_WHERE
@_JSON
def list_connections(path: Path, as_json: bool) -> None:
    """List the connections, their fields and where each field comes from.

    \b
    Example:
      genaiops connection list --path web_classification
    """
    _, store = _open(path)
    described = [_describe(store, name) for name in store.names()]
    if as_json:
        echo_json({"schema_version": 1, "connections": described})
        return
    if not described:
        click.echo("no connections; set for example AOAI_API_KEY and AOAI_API_BASE, or write them into .env")
        return
    rows = []
    for item in described:
        for number, (name, field) in enumerate(item["fields"].items()):
            first = number == 0
            rows.append(
                (
                    item["name"] if first else "",
                    item["type"] if first else "",
                    name,
                    str(field["value"]),
                    field["source"],
                )
            )
        rows += [
            (item["name"], item["type"], m["field"], "is missing", " or ".join(m["variables"])) for m in item["missing"]
        ]
        if item.get("problem"):
            rows.append((item["name"], item["type"] or "", "", "cannot be read", "see below"))
    table(("connection", "type", "field", "value", "from"), rows)
    for item in described:
        if item.get("problem"):
            say("warning", item["problem"], color="yellow")


@connection.command("check")
@click.argument("name", required=False)
@click.option("--live", is_flag=True, help="Call the model once, for one token.")
@click.option("--model", help="The model or deployment for --live.")
@_WHERE
@_JSON
@click.pass_context
def check_connections(
    context: click.Context, name: str | None, live: bool, model: str | None, path: Path, as_json: bool
) -> None:
    """Say what is missing or wrong in one connection, or in all. Exit code 2 when something is.

    \b
    Example:
      genaiops connection check aoai --live --model gpt-4o
    """
    if live and (name is None or not model):
        raise click.UsageError("--live calls one connection: give its NAME and --model.", context)
    _, store = _open(path)
    names = [name] if name is not None else store.names()
    results = [_judge(store, each) for each in names]
    if live and not results[0]["problems"]:
        assert name is not None
        assert model is not None
        results[0] |= _call_once(store, name, model)
    if as_json:
        echo_json({"schema_version": 1, "connections": results})
    else:
        _echo_results(results)
    if any(result["problems"] for result in results):
        context.exit(WRONG_INPUT)


def _open(path: Path) -> tuple[Settings, ConnectionStore]:
    settings = open_settings(folders=nearby_folders(path))
    return settings, open_store(settings, path)


def _describe(store: ConnectionStore, name: str) -> dict[str, Any]:
    from genaiops.errors import GenaiopsError

    try:
        return {**store.describe(name), "problem": None}
    except GenaiopsError as error:
        return {"name": name, "type": "", "fields": {}, "missing": [], "problem": str(error)}


def _judge(store: ConnectionStore, name: str) -> dict[str, Any]:
    """What is wrong with a connection. An unknown one raises: there is nothing to judge."""
    from genaiops.errors import GenaiopsError

    try:
        described = store.describe(name)
    except GenaiopsError as error:
        if name not in store.names():
            raise
        return {"name": name, "type": "", "problems": [str(error)]}
    return {"name": name, "type": described["type"], "problems": store.check(name)}


def _call_once(store: ConnectionStore, name: str, model: str) -> dict[str, Any]:
    """One call for one token; what went wrong becomes a problem of the connection."""
    import asyncio

    from genaiops.connections import Models
    from genaiops.errors import GenaiopsError

    async def call() -> dict[str, Any]:
        models = Models(redactor=store.redactor())
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        try:
            reply = await models.call(store.get(name), body, api="chat", timeout_s=60)
        finally:
            await models.aclose()
        return {"live": {"model": reply.model, "duration_s": round(reply.duration_s, 3)}}

    try:
        return asyncio.run(call())
    except GenaiopsError as error:
        return {"problems": [str(error)]}


def _echo_results(results: list[dict[str, Any]]) -> None:
    if not results:
        click.echo("no connections")
    for result in results:
        state = " ".join(result["problems"]) or "complete"
        answered = result.get("live")
        if answered:
            state = f"answered in {seconds(answered['duration_s'])} ({answered['model']})"
        kind = f" ({result['type']})" if result["type"] else ""
        click.echo(f"{result['name']}{kind}: {state}")
