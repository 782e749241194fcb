"""The layer under another dtype policy: constructed, built and called as if it were set for the whole program."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.models import build
from layerwright.trial.trial import Trial, blaming, once_per_trial

LOW_PRECISION_POLICIES = ("mixed_float16", "mixed_bfloat16")
UNSUPPORTED = (
    "not implemented for",
    "No OpKernel was registered",
    "No registered '",
    "Could not find device for node",
    "is not in the list of allowed values",
    "currently only supports the NHWC",
)
"""What a backend says where this machine has no kernel for a dtype: no fault of the layer's."""


@dataclass(frozen=True, eq=False)
class Version:
    """A layer built under a dtype policy.

    Attributes:
        layer: The layer.
        call: From arguments to the output tensors, in inference.
    """

    layer: Any
    call: Callable[[Arguments], list[Any]]


@once_per_trial
def version(trial: Trial, policy: str) -> Version | str:
    """Return the layer built under the policy, its weights as initialised; or say why there is none.

    Raises:
        LayerError: If the layer raises.
    """
    if "dtype" in trial.case.init:
        return f"the case names its dtype ({trial.case.init['dtype']!r})"
    with policy_set(policy):
        layer = trial.construct(**given_layers(trial, policy))
        if layer.dtype_policy.name != policy:
            return f"the layer has the dtype policy {layer.dtype_policy.name} whatever is set"
        try:
            build(trial, layer)
            found = Version(layer, tensor_caller(trial, layer))
            found.call(trial.usual)
        except LayerError as error:
            if any(words in str(error) for words in UNSUPPORTED):
                return f"{trial.backend.NAME} has no kernel on this machine: {error}"
            raise
    return found


def given_layers(trial: Trial, policy: str) -> dict[str, Any]:
    """Return the constructor arguments that hold layers, these made anew under the policy: as they would have been."""
    return {name: _renewed(value, policy) for name, value in trial.case.init.items() if _holds_layers(value)}


@contextmanager
def policy_set(policy: str) -> Iterator[None]:
    """Set Keras's global dtype policy for a while."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def computes_in(dtype: str) -> bool:
    """Whether Keras's operations on this backend keep this dtype: float64 becomes float32 on some."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX says what it leaves out
        made = keras.backend.standardize_dtype(keras.ops.zeros((), dtype).dtype)
    return bool(made == dtype == keras.backend.result_type(dtype, dtype))


def tensor_caller(trial: Trial, layer: Any) -> Callable[[Arguments], list[Any]]:
    """Return a built layer as a function to output tensors, in inference.

    On JAX it is compiled, which is faster than operation by operation; where it cannot be, it is called as it is.
    """
    import keras

    def eager(arguments: Arguments) -> list[Any]:
        return leaves(trial.call_raw(layer, arguments, training=False))

    if trial.backend.NAME != "jax":
        return eager
    program = trial.backend.jit(pure(layer, trial.usual, training=False))

    def compiled(arguments: Arguments) -> list[Any]:
        keras.utils.set_random_seed(trial.seed)
        try:
            return leaves(program(*tensors_of(layer, arguments))[0])
        except Exception:  # LW801 compiled-equals-eager says so; eagerly it works, or says clearly why not
            return eager(arguments)

    return compiled


def to_float64(tensors: list[Any]) -> list[Array]:
    """Return those tensors that hold numbers, as float64 arrays."""
    import keras

    arrays = [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]
    return [array.astype("float64") for array in arrays if array.dtype.kind not in "USO"]


def _renewed(value: Any, policy: str) -> Any:
    """Make a layer, or each in a list, anew from its config with another dtype policy."""
    import keras

    if isinstance(value, (list, tuple)):
        return type(value)(_renewed(item, policy) for item in value)
    if not isinstance(value, keras.layers.Layer):
        return value
    with blaming("making the layers that it is given anew, under another dtype policy,"):
        return type(value).from_config(_with_policy(value.get_config(), policy))


def _with_policy(config: Any, policy: str) -> Any:
    """Put the policy in the place of every float32 policy in a config."""
    import keras

    if isinstance(config, dict) and config.get("class_name") == "DTypePolicy":
        ours = config["config"]["name"] == "float32"
        return keras.dtype_policies.serialize(keras.DTypePolicy(policy)) if ours else config
    if isinstance(config, dict):
        return {key: _with_policy(value, policy) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_with_policy(item, policy) for item in config)
    return config


def _holds_layers(value: Any) -> bool:
    import keras

    if isinstance(value, (list, tuple)):
        return any(_holds_layers(item) for item in value)
    return isinstance(value, keras.layers.Layer)
