"""`genaiops schema`: the JSON Schemas of what we read, write and print."""

from __future__ import annotations

import click

from genaiops.cli._output import echo_json, table


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the list as one JSON object.")
def schema(name: str | None, as_json: bool) -> None:
    """Print a JSON Schema, or list them: experiment.yaml for your editor, the --json forms for your programs.

    \b
    Example:
      genaiops schema experiment-yaml > experiment.schema.json
    """
    from genaiops.errors import InputError, suggest
    from genaiops.schemas import load_schema, schema_names

    names = schema_names()
    if name is None:
        found = [(each, str(load_schema(each)["description"])) for each in names]
        if as_json:
            echo_json({"schema_version": 1, "schemas": [{"name": n, "description": text} for n, text in found]})
        else:
            table(("schema", "of"), found)
        return
    if name not in names:
        raise InputError(f"There is no schema {name!r}.", hint=suggest(name, names))
    echo_json(load_schema(name))
