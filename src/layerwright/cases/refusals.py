"""The errors that a layer raised on everything tried: whether anything else may work, and which error tells most."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from layerwright.core.errors import LayerError

OWN_DEFECTS = (NameError, ImportError, NotImplementedError, SyntaxError, RecursionError)
"""Errors that no other arguments or inputs would avoid."""


def is_avoidable(errors: Sequence[BaseException]) -> bool:
    """Whether other arguments or inputs might avoid the errors.

    They cannot avoid a defect such as an undefined name, nor an error that is the same for inputs of every rank.
    """
    causes = [_cause(error) for error in errors]
    if all(is_own_defect(cause) for cause in causes):
        return False
    if any(isinstance(cause, AttributeError) and not is_own_defect(cause) for cause in causes):
        return True
    return len(causes) == 1 or len({(type(cause), str(cause)) for cause in causes}) > 1


def most_telling(errors: Sequence[BaseException]) -> BaseException:
    """Return the error that helps its reader most: one that the layer's author wrote, else the first."""
    written = (error for error in errors if isinstance(_cause(error), ValueError) and _is_raised_by_users_code(error))
    return next(written, errors[0])


def is_own_defect(cause: BaseException) -> bool:
    """Whether the layer's code is at fault, whatever it is given: not, for example, if a tensor is no dict."""
    import keras

    if isinstance(cause, AttributeError):
        return isinstance(cause.obj, (ModuleType, keras.layers.Layer, keras.Variable))
    return isinstance(cause, OWN_DEFECTS)


def _cause(error: BaseException) -> BaseException:
    return error.error if isinstance(error, LayerError) else error


def _is_raised_by_users_code(error: BaseException) -> bool:
    """Whether the innermost frame of the error lies outside installed packages."""
    trace = _cause(error).__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return "site-packages" not in Path(trace.tb_frame.f_code.co_filename).parts
