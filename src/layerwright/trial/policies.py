"""Construct, build and call the layer under another global dtype policy."""

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
"""Parts of the errors of a backend that has no kernel for a dtype on this machine, which is not the layer's fault."""


@dataclass(frozen=True, eq=False)
class Version:
    """A layer built under a dtype policy.

    Attributes:
        layer: The layer.
        call: Takes arguments and returns the output tensors, in inference mode.
    """

    layer: Any
    call: Callable[[Arguments], list[Any]]


@once_per_trial
def version(trial: Trial, policy: str) -> Version | str:
    """Return the layer built under the policy, with its initial weights, or the reason why that is not possible.

    Raises:
        LayerError: If the layer raises.
    """
    if "dtype" in trial.case.init:
        return f"the case passes dtype={trial.case.init['dtype']!r} to the constructor"
    with policy_set(policy):
        layer = trial.construct(**given_layers(trial, policy))
        if layer.dtype_policy.name != policy:
            return f"the layer has the dtype policy {layer.dtype_policy.name} although the global policy is {policy}"
        try:
            build(trial, layer)
            found = Version(layer, tensor_caller(trial, layer))
            found.call(trial.usual)
        except LayerError as error:
            if any(words in str(error) for words in UNSUPPORTED):
                return f"{trial.backend.NAME} does not support this operation in {policy} on this machine: {error}"
            raise
    return found


def given_layers(trial: Trial, policy: str) -> dict[str, Any]:
    """Return the constructor arguments that contain layers, with new layers that have the policy."""
    return {name: _recreate_layers(value, policy) for name, value in trial.case.init.items() if _holds_layers(value)}


@contextmanager
def policy_set(policy: str) -> Iterator[None]:
    """Set Keras's global dtype policy inside the context."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def computes_in(dtype: str) -> bool:
    """Whether Keras's operations on this backend keep this dtype. Some turn float64 into float32."""
    import keras

    with warnings.catch_warnings():
        # JAX warns about each dtype that it replaces.
        warnings.simplefilter("ignore")
        made = keras.backend.standardize_dtype(keras.ops.zeros((), dtype).dtype)
    return bool(made == dtype == keras.backend.result_type(dtype, dtype))


def tensor_caller(trial: Trial, layer: Any) -> Callable[[Arguments], list[Any]]:
    """Return a built layer in inference mode, as a function that takes arguments and returns output tensors.

    On JAX it is compiled, which is faster than compiling each operation by itself. If that fails, it runs eagerly.
    """
    import keras

    def eager(arguments: Arguments) -> list[Any]:
        return leaves(trial.call_raw(layer, arguments, training=False))

    if trial.backend.NAME != "jax":
        return eager
    program = trial.backend.jit(pure(layer, trial.usual, training=False))

    def compiled(arguments: Arguments) -> list[Any]:
        keras.utils.set_random_seed(trial.seed)
        # LW801 compiled-equals-eager reports this exception. The eager call succeeds or raises a clearer one.
        try:
            return leaves(program(*tensors_of(layer, arguments))[0])
        except Exception:
            return eager(arguments)

    return compiled


def to_float64(tensors: list[Any]) -> list[Array]:
    """Return the tensors that contain numbers, as float64 arrays."""
    import keras

    arrays = [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]
    return [array.astype("float64") for array in arrays if array.dtype.kind not in "USO"]


def _recreate_layers(value: Any, policy: str) -> Any:
    """Recreate a layer, or each layer in a list, from its config with another dtype policy."""
    import keras

    if isinstance(value, (list, tuple)):
        return type(value)(_recreate_layers(item, policy) for item in value)
    if not isinstance(value, keras.layers.Layer):
        return value
    with blaming("recreating the layers in the constructor's arguments with another dtype policy"):
        return type(value).from_config(_with_policy(value.get_config(), policy))


def _with_policy(config: Any, policy: str) -> Any:
    """Replace every float32 policy in a config by this policy."""
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
