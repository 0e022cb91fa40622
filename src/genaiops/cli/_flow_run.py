"""`genaiops flow run`: one row through a flow, or a whole dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genaiops.cli._flow_options import SpreadCommand, flow_options

_BATCH_ONLY = (
    "mapping",
    "limit",
    "concurrency",
    "processes",
    "name",
    "on_bad_row",
    "max_failed",
    "repeats",
    "max_calls",
    "budget_usd",
    "rpm",
    "tpm",
)
_ROW_ONLY = ("inputs", "inputs_file", "node", "stream")


@click.command(cls=SpreadCommand)
@click.argument("source", metavar="FLOW", required=False)
@click.option("--input", "inputs", multiple=True, metavar="K=V", help="An input of the flow. Repeatable.")
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Inputs from a .json file, or from the first line of a .jsonl file.",
)
@click.option("--node", help="Run this node alone, with --input giving the node's inputs.")
@click.option("--stream", is_flag=True, help="Print the answer as it comes.")
@click.option("--data", type=click.Path(path_type=Path), help="Run every row of a .jsonl, .csv, .tsv or .json file.")
@click.option(
    "--map", "mapping", multiple=True, metavar="INPUT='${data.COLUMN}'", help="Where an input comes from. Repeatable."
)
@click.option("--run", "source_run", help="An earlier run, whose ${run.outputs.NAME} the mapping may use.")
@click.option("--limit", type=click.IntRange(min=1), help="Run at most so many rows.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Rows in flight at once.")
@click.option("--processes", type=click.IntRange(min=1), help="Hosts that share the rows, for busy Python.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds a row may take.")
@click.option("--resume", metavar="RUN", help="Run what an interrupted or failed run left.")
@click.option("--name", help="The id of the run.")
@click.option("--on-bad-row", type=click.Choice(["stop", "skip"]), help="What to do about a row that cannot be read.")
@click.option("--max-failed", type=click.FloatRange(0, 1), help="The share of failed rows that is still a success.")
@click.option("--repeats", type=click.IntRange(min=1), help="Run the dataset so many times.")
@click.option("--max-calls", type=click.IntRange(min=1), help="Stop cleanly after so many model calls.")
@click.option("--budget-usd", type=click.FloatRange(min=0, min_open=True), help="Stop cleanly after so many dollars.")
@click.option("--rpm", type=click.IntRange(min=1), help="Requests a minute to one deployment, at most.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens a minute to one deployment, at most.")
@flow_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def run(context: click.Context, /, source: str | None, as_json: bool, **options: Any) -> None:
    """Run a flow on one row, or with --data on a whole dataset.

    One row shows each node's input, output, time and tokens. A dataset goes into a run record that survives
    interruptions; Ctrl-C ends it, --resume RUN continues it.

    \b
    Example:
      genaiops flow run ./web_classification --input url=https://www.youtube.com --variant classify.variant_1
      genaiops flow run ./web_classification --data rows.jsonl --map url='${data.url}' --limit 10
    """
    is_batch = any(options[key] is not None for key in ("data", "source_run", "resume"))
    _refuse_mixed(context, options, is_batch=is_batch)
    if source is None and options["resume"] is None:
        raise click.UsageError("Missing argument FLOW.", context)
    if is_batch:
        from genaiops.cli._flow_batch import run_dataset

        code = run_dataset(source, options, as_json=as_json)
    else:
        from genaiops.cli._flow_row import run_row

        assert source is not None
        code = run_row(source, options, as_json=as_json)
    if code:
        context.exit(code)


def _refuse_mixed(context: click.Context, options: dict[str, Any], *, is_batch: bool) -> None:
    """Options of one row make no sense for a dataset, and the other way round."""
    names = _ROW_ONLY if is_batch else _BATCH_ONLY
    given = [key for key in names if options[key] not in (None, False, ())]
    if not given:
        return
    words = {"inputs": "--input", "inputs_file": "--inputs", "mapping": "--map"}
    shown = ", ".join(words.get(key, f"--{key.replace('_', '-')}") for key in given)
    what = "is for one row; with --data use --map" if is_batch else "is for a dataset: give --data FILE or --run RUN"
    raise click.UsageError(f"{shown} {what}.", context)
