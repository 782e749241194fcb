"""The errors that a layer raised on everything tried: whether anything else may work, and which error tells most."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from layerwright.core.errors import LayerError, quote

FRAMEWORKS = frozenset({"keras", "tensorflow", "torch", "jax", "jaxlib", "numpy", "layerwright"})
"""Packages whose errors are not written by the layer's author."""

OWN_DEFECTS = (NameError, ImportError, SyntaxError, RecursionError)
"""Errors that no other arguments or inputs would avoid."""


def is_avoidable(errors: Sequence[BaseException], *, has_guesses: bool) -> bool:
    """Whether other arguments or inputs might avoid the errors.

    They cannot avoid a defect such as an undefined name, nor, if every constructor argument is the author's, an error
    that is the same for inputs of every rank and that the author did not write as a refusal.

    Args:
        errors: What was raised.
        has_guesses: Whether constructor arguments were guessed.
    """
    causes = [_cause(error) for error in errors]
    if all(is_own_defect(cause) for cause in causes):
        return False
    if has_guesses or any(isinstance(cause, ValueError) and _is_raised_by_users_code(cause) for cause in causes):
        return True
    if any(isinstance(cause, AttributeError) and not is_own_defect(cause) for cause in causes):
        return True
    return len({(type(cause), str(cause)) for cause in causes}) > 1


def reason_to_skip(errors: Sequence[BaseException]) -> str:
    """Return why a layer is not to be checked: it is abstract, or needs a package that is missing; else nothing."""
    causes = [_cause(error) for error in errors]
    if causes and all(_is_abstract(cause) for cause in causes):
        return f"the class is abstract, or has no code for this backend ({quote(causes[0])})"
    missing = next((cause.name for cause in causes if isinstance(cause, ModuleNotFoundError)), None)
    if missing and all(isinstance(cause, ImportError) for cause in causes):
        return f"it needs the package {missing}, which is not installed"
    return ""


def _is_abstract(cause: BaseException) -> bool:
    return isinstance(cause, NotImplementedError) or (
        isinstance(cause, TypeError) and "instantiate abstract class" in str(cause)
    )


def most_telling(errors: Sequence[BaseException]) -> BaseException:
    """Return the error that helps its reader most: one that the layer's author wrote, else the first."""
    written = (
        error for error in errors if isinstance(_cause(error), ValueError) and _is_raised_by_users_code(_cause(error))
    )
    return next(written, errors[0])


def is_own_defect(cause: BaseException) -> bool:
    """Whether the layer's code is at fault, whatever it is given: not, for example, if a tensor is no dict."""
    import keras

    if isinstance(cause, AttributeError):
        is_of_layer = isinstance(cause.obj, (ModuleType, keras.layers.Layer, keras.Variable))
        return is_of_layer or "no setter" in str(cause) or "can't set attribute" in str(cause)
    return isinstance(cause, OWN_DEFECTS)


def _cause(error: BaseException) -> BaseException:
    return error.error if isinstance(error, LayerError) else error


def _is_raised_by_users_code(cause: BaseException) -> bool:
    """Whether the innermost frame of the error lies outside Keras and the backends."""
    trace = cause.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return not FRAMEWORKS & set(Path(trace.tb_frame.f_code.co_filename).parts)
