"""Run what constructs and calls layers in some code: what fails is skipped, what acts on the world is left out."""

import ast
import copy
import io
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from layerwright.cases.evidence.kinds import name_of

MOST_ITERATIONS = 4

ACTS = frozenset(
    {"fit", "evaluate", "predict", "compile", "train_on_batch", "test_on_batch", "save", "save_weights", "export"}
    | {"load_weights", "load_model", "load_data", "get_file", "open", "remove", "unlink", "rmtree", "makedirs", "mkdir"}
    | {"system", "run", "Popen", "call_command", "check_call", "check_output", "urlretrieve", "urlopen", "download"}
    | {"from_pretrained", "from_preset", "load_dataset", "as_numpy_iterator", "extractall", "plot_model", "show"}
    | {"savefig", "imshow", "subplots", "figure", "plot", "input", "exit", "quit", "sleep", "fit_generator", "adapt"}
    | {"read_csv", "image_dataset_from_directory", "text_dataset_from_directory", "set_global_policy", "set_floatx"}
    | {"set_random_seed", "seed", "manual_seed", "gradient", "apply_gradients", "exec", "eval", "__import__", "print"}
    | {"set_grad_enabled", "run_functions_eagerly", "set_memory_growth", "chdir", "tune", "search", "write", "copyfile"}
)
"""Names of functions that train, read or write files, draw, or change the process."""

ACTING_MODULES = frozenset({"os", "subprocess", "shutil", "requests", "urllib", "tfds", "plt", "sys", "applications"})


class OutOfTimeError(Exception):
    """The time for this piece of code is over."""


class Runner:
    """Runs statements one by one in a namespace.

    Args:
        scope: The namespace.
        is_over: Says whether the time is over; asked before each statement.
        functions: The source of functions that the code may call by name: they are looked into for acts.
        file: The file that the code is from.
    """

    def __init__(
        self,
        scope: dict[str, Any],
        is_over: Callable[[], bool],
        functions: Mapping[str, ast.FunctionDef],
        file: str = "<evidence>",
    ) -> None:
        self.scope = scope
        self.is_over = is_over
        self.functions = functions
        self.file = file
        self._acting: dict[str, bool] = {}

    def run(self, statements: Iterable[ast.stmt]) -> None:
        """Run statements quietly; one that raises is skipped."""
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            self._run(statements)

    def _run(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            if self.is_over():
                raise OutOfTimeError
            self._one(statement)

    def _one(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.If):
            test = self._value(statement.test)
            self._run(statement.body if test is not _UNKNOWN and test else [])
            self._run(statement.orelse if test is _UNKNOWN or not test else [])
        elif isinstance(statement, ast.For):
            self._loop(statement)
        elif isinstance(statement, (ast.With, ast.Try)):
            self._run(statement.body)
        elif isinstance(statement, ast.Return):
            if statement.value is not None:
                self._execute(ast.copy_location(ast.Expr(statement.value), statement))
        elif not isinstance(statement, (ast.While, ast.Global, ast.Nonlocal, ast.Delete, ast.Assert, ast.Raise)):
            self._execute(statement)

    def _loop(self, statement: ast.For) -> None:
        values = self._value(statement.iter)
        if values is _UNKNOWN or not isinstance(values, (list, tuple, range, enumerate, zip, reversed, dict)):
            return
        for place, value in enumerate(values):
            if place == MOST_ITERATIONS:
                break
            self.scope["__layerwright_value__"] = value
            given = ast.Name("__layerwright_value__", ast.Load())
            assign = ast.Assign([copy.deepcopy(statement.target)], given)
            self._execute(ast.copy_location(assign, statement))
            self._run(statement.body)

    def _value(self, expression: ast.expr) -> Any:
        if self.acts(expression):
            return _UNKNOWN
        try:
            tree = ast.fix_missing_locations(ast.Expression(copy.deepcopy(expression)))
            return eval(compile(tree, self.file, "eval"), self.scope)
        except Exception:
            return _UNKNOWN

    def _execute(self, statement: ast.stmt) -> None:
        if self.acts(statement):
            return
        try:
            tree = ast.fix_missing_locations(ast.Module([statement], []))
            exec(compile(tree, self.file, "exec"), self.scope)
        except Exception:
            return

    def acts(self, node: ast.AST) -> bool:
        """Whether code trains, reads or writes files or the like, in itself or in a function that it calls."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and name_of(inner.value) in ACTING_MODULES:
                return True
            if isinstance(inner, ast.Call) and (name_of(inner.func) in ACTS or self._calls_what_acts(inner)):
                return True
        return False

    def _calls_what_acts(self, call: ast.Call) -> bool:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name not in self.functions:
            return False
        if name not in self._acting:
            self._acting[name] = False  # while it is looked into: a function that calls itself
            self._acting[name] = self.acts(self.functions[name])
        return self._acting[name]


_UNKNOWN = object()
