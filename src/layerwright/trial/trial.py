"""`Trial`: construct, build and call the layer of one case on this process's backend. A check receives a `Trial`.

Keras is imported inside functions, so that checks can be listed without loading it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from layerwright import backends
from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError, chain, root_cause
from layerwright.trial.arguments import Arguments, Array, describe, map_leaves

BATCH_SIZES = (4, 3, 7, 11)
P = ParamSpec("P")
R = TypeVar("R")


def once_per_trial(function: Callable[Concatenate["Trial", P], R]) -> Callable[Concatenate["Trial", P], R]:
    """Compute a function of a trial and of hashable arguments only once for each trial, which stores the result."""

    @wraps(function)
    def remembered(trial: "Trial", /, *arguments: P.args, **options: P.kwargs) -> R:
        key = (function, arguments, *sorted(options.items()))
        if key not in trial.memory:
            trial.memory[key] = function(trial, *arguments, **options)
        found: R = trial.memory[key]
        return found

    return remembered


class Trial:
    """One case on this process's backend.

    All random values depend on `seed` only. Each construction starts from the same global seed, so that two layers have
    equal initial weights.
    """

    def __init__(self, case: Case, seed: int = 0) -> None:
        self.case = case
        self.seed = seed
        self.backend = backends.current()
        self.memory: dict[Any, Any] = {}

    def construct(self, **overrides: Any) -> Any:
        """Return a new, unbuilt layer.

        Raises:
            LayerError: If the constructor raises.
        """
        import keras

        keras.utils.set_random_seed(self.seed)
        with blaming("constructing the layer"):
            return self.case.construct(**overrides)

    @property
    def batch(self) -> int:
        """The usual number of samples. No other axis of the case has this size."""
        taken = {size for spec in self.case.specs() for size in self.shape_of(spec, 0)[1:]}
        return next((size for size in BATCH_SIZES if size not in taken), 13)

    @property
    def has_strings(self) -> bool:
        """Whether the layer takes a tensor of strings."""
        return any(spec.dtype == "string" for spec in self.case.specs())

    def shape_of(self, spec: InputSpec, batch: int, free: Mapping[int, int] | None = None) -> tuple[int, ...]:
        """Return the shape of a tensor of the case. Free axes get the sizes in `free`, or else their usual sizes."""
        return spec.concrete(batch, free, self.case.traits.minimum)

    def arguments(
        self, batch: int | None = None, *, free: Mapping[int, int] | None = None, seed: int = 0, scale: float = 1.0
    ) -> Arguments:
        """Draw call arguments for the case.

        Args:
            batch: The number of samples; by default the usual one.
            free: The sizes of free (`None`) axes, by axis.
            seed: Draws other values than another seed.
            scale: The factor of floating-point inputs.
        """
        size = self.batch if batch is None else batch
        return self.arguments_of(lambda spec: self.shape_of(spec, size, free), seed=seed, scale=scale)

    def arguments_of(
        self, shape_of: Callable[[InputSpec], tuple[int, ...]], *, seed: int = 0, scale: float = 1.0
    ) -> Arguments:
        """Draw call arguments with the shapes that `shape_of` returns; otherwise as `arguments`."""
        rng = np.random.default_rng((self.seed, seed))

        def draw(spec: InputSpec) -> Array:
            array = spec.sample(rng, shape_of(spec))
            return (array * scale).astype(array.dtype) if spec.dtype.startswith(("float", "bfloat")) else array

        tensors = tuple(name for name, value in self.case.call.items() if _holds_specs(value))
        call = {name: _map_specs(draw, value) if name in tensors else value for name, value in self.case.call.items()}
        return Arguments(_map_specs(draw, self.case.inputs), call, tensors)

    @cached_property
    def usual(self) -> Arguments:
        """The usual arguments: those of `arguments()`, drawn only once."""
        return self.arguments()

    def built(self, arguments: Arguments | None = None) -> Any:
        """Return a new layer that has been called once.

        Raises:
            LayerError: If constructing or calling it raises.
        """
        layer = self.construct()
        self.call(layer, arguments or self.usual)
        return layer

    def call(self, layer: Any, arguments: Arguments, *, training: bool | None = None, keep_state: bool = False) -> Any:
        """Call the layer eagerly and return its outputs as NumPy arrays, in the layer's own structure.

        Global random generators are seeded first. The layer's non-trainable variables (statistics, seeds) are restored
        afterwards. So equal calls give equal outputs, and no check affects another.

        Args:
            layer: The layer.
            arguments: The arguments to call it with.
            training: Passed to the layer unless it is None. If the layer's `call` does not take it, Keras passes it to
                the sublayers.
            keep_state: Do not restore the state after the call.

        Raises:
            LayerError: If the layer raises.
        """
        import keras

        outputs = self.call_raw(layer, arguments, training=training, keep_state=keep_state)
        return keras.tree.map_structure(_to_numpy, outputs)

    def call_raw(
        self, layer: Any, arguments: Arguments, *, training: bool | None = None, keep_state: bool = False
    ) -> Any:
        """As `call`, but return the tensors that the layer returned."""
        import keras

        keras.utils.set_random_seed(self.seed)
        before = snapshot(layer.non_trainable_variables) if getattr(layer, "built", False) and not keep_state else None
        options = {} if training is None else {"training": training}
        tensors = arguments.map(self._to_tensor)
        with blaming(f"calling the layer on {describe(arguments)}"), self.backend.inference():
            outputs = layer(tensors.inputs, **{**tensors.call, **options})
        if before is not None:
            restore(before)
        return outputs

    def _to_tensor(self, array: Array) -> Any:
        """Return a tensor of this backend that shares no memory with the array. Only TensorFlow has string tensors."""
        import keras

        if array.dtype.kind in "USO" and self.backend.NAME != "tensorflow":
            return array.copy()
        return keras.ops.convert_to_tensor(array.copy())

    def symbolic_call(self, layer: Any, *, batch: int | None = None, free: bool = True) -> Any:
        """Call the layer on `KerasTensor`s and return the `KerasTensor`s that it returns.

        Args:
            layer: The layer.
            batch: The batch size, or None for an unknown one.
            free: Whether the case's free axes have unknown sizes. Otherwise they get their usual sizes.
        """
        import keras

        def symbol(spec: InputSpec) -> Any:
            shape = (batch, *spec.shape[1:]) if free else (batch, *self.shape_of(spec, 0)[1:])
            return keras.KerasTensor(shape, dtype=spec.dtype)

        call = {name: _map_specs(symbol, value) for name, value in self.case.call.items()}
        with blaming("calling the layer symbolically, as a functional model does,"):
            return layer(_map_specs(symbol, self.case.inputs), **call)

    def function(self, layer: Any, arguments: Arguments, *, training: bool | None = None) -> Callable[..., Any]:
        """Return the layer as a function of the backend's tensors, in the order of `arguments.arrays()`."""
        options = {} if training is None else {"training": training}

        def flat(*tensors: Any) -> Any:
            given = arguments.replace_arrays(tensors)
            return layer(given.inputs, **{**given.call, **options})

        return flat


def takes_argument(layer: Any, name: str) -> bool:
    """Whether the layer's `call` has an argument with this name."""
    return name in layer._call_signature.parameters if hasattr(layer, "_call_signature") else False


def snapshot(variables: Sequence[Any]) -> list[tuple[Any, Array]]:
    """Return variables with copies of their values."""
    import keras

    return [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in variables]


def restore(values: Sequence[tuple[Any, Array]]) -> None:
    """Set variables to the values that `snapshot` returned."""
    for variable, value in values:
        variable.assign(value)


def copy_weights(source: Any, target: Any) -> None:
    """Copy the values of all variables of `source`, seeds included, to `target`, a layer built from the same case."""
    for there, here in zip(target.variables, source.variables, strict=True):
        there.assign(here.value)


def randomise(layer: Any, seed: int = 0) -> None:
    """Move each floating-point weight of a built layer off its initial value, so that a lost value is noticed."""
    import keras

    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if "float" in str(weight.dtype):
            value = np.asarray(keras.ops.convert_to_numpy(weight.value), "float32")
            weight.assign(value + 0.1 * rng.uniform(0.5, 1.0, value.shape))


def _to_numpy(tensor: Any) -> Any:
    import keras

    return None if tensor is None else np.asarray(keras.ops.convert_to_numpy(tensor))


def _holds_specs(value: Any) -> bool:
    import keras

    return any(isinstance(leaf, InputSpec) for leaf in keras.tree.flatten(value))


def _map_specs(function: Callable[[InputSpec], Any], value: Any) -> Any:
    return map_leaves(lambda leaf: function(leaf) if isinstance(leaf, InputSpec) else leaf, value)


@contextmanager
def blaming(doing: str) -> Iterator[None]:
    """Convert an exception of the layer to a `LayerError` that says what was being done and what first went wrong.

    The layer's warnings are not shown. `SystemExit` and `MemoryError` are not converted: they say nothing about the
    layer, and end the check.

    Args:
        doing: What is being done, as the subject of the sentence "<doing> raised ValueError: …".
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (LayerError, MemoryError):
            raise
        except Exception as error:
            shortage = next((each for each in chain(error) if isinstance(each, MemoryError)), None)
            if shortage is not None:
                raise shortage from error
            raise LayerError(doing, root_cause(error)) from error
