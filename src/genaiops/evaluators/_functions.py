"""Plain Python evaluators: which `eval_*` functions a folder or file has, read without importing them."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

from genaiops.errors import SettingsError
from genaiops.records import record


@record(frozen=True, kw_only=True)
class EvalFunction:
    """One `eval_*` function.

    Args:
        name: Its name.
        file: Where it is defined.
        line: Its line, counted from 1.
        parameters: Names of its parameters, in order.
        required: Those without a default.
        takes_any: It has `**kwargs`.
    """

    name: str
    file: Path
    line: int
    parameters: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool = False

    def is_row_wise(self, mapped: Collection[str]) -> bool:
        """Whether it is called for each row with the mapped inputs.

        Otherwise it is called once, by the template's contract: name of the run, path of the data, mappings, output
        folder and, when it has a fifth parameter, an Azure project.
        """
        if not self.parameters and not self.takes_any:
            return False
        return all(name in mapped for name in self.required)

    @property
    def fits_contract(self) -> bool:
        """Whether it can be called once for the whole dataset."""
        return len(self.required) <= 5 and (len(self.parameters) >= 4 or self.takes_any)


def eval_functions(path: Path) -> list[EvalFunction]:
    """The evaluators of a file, or of all `eval_*.py` files of a folder, sorted by file and line.

    Raises:
        SettingsError: There is none, or a file is not Python.
    """
    if path.is_dir():
        files = sorted(file for file in path.glob("*.py") if file.name.lower().startswith("eval_"))
    else:
        files = [path]
    found = [function for file in files for function in _functions(file)]
    if not found:
        raise SettingsError(
            f"There is no function whose name begins with eval_ in {str(path)!r}.",
            file=files[0] if files else path,
            hint="Define one, for example: def eval_length(answer): return len(answer)",
            kind="NoEvaluatorFunction",
        )
    return found


def _functions(file: Path) -> list[EvalFunction]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8-sig"), filename=str(file))
    except SyntaxError as error:
        raise SettingsError(f"This is not valid Python: {error.msg}.", file=file, line=error.lineno) from error
    return [
        _function(node, file)
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.lower().startswith("eval_")
    ]


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, file: Path) -> EvalFunction:
    arguments = node.args
    plain = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    keyword = [argument.arg for argument in arguments.kwonlyargs]
    with_default = set(plain[len(plain) - len(arguments.defaults) :])
    with_default |= {name for name, default in zip(keyword, arguments.kw_defaults, strict=True) if default is not None}
    parameters = (*plain, *keyword)
    return EvalFunction(
        name=node.name,
        file=file,
        line=node.lineno,
        parameters=parameters,
        required=tuple(name for name in parameters if name not in with_default),
        takes_any=arguments.kwarg is not None,
    )
