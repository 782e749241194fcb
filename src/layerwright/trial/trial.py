"""A trial: one case, constructed, built, fed and called on this process's backend. All that a check gets to see.

Keras is imported inside functions, so that the catalogue of checks can be listed without loading it.
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
from layerwright.trial.arguments import Arguments, Array, describe

BATCH_SIZES = (4, 3, 7, 11)
P = ParamSpec("P")
R = TypeVar("R")


def once_per_trial(function: Callable[Concatenate["Trial", P], R]) -> Callable[Concatenate["Trial", P], R]:
    """Compute a function of a trial, and of further hashable arguments, once for each trial, which keeps the result."""

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

    Everything drawn at random follows from `seed`; every construction starts from the same global seed, so two
    constructions have equal initial weights.
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
        with blaming("constructing it"):
            return self.case.construct(**overrides)

    @property
    def batch(self) -> int:
        """The usual number of samples: one that no axis of the case has as its size."""
        taken = {size for spec in self.case.specs() for size in spec.concrete(0)[1:]}
        return next((size for size in BATCH_SIZES if size not in taken), 13)

    def arguments(
        self, batch: int | None = None, *, free: Mapping[int, int] | None = None, seed: int = 0, scale: float = 1.0
    ) -> Arguments:
        """Draw call arguments for the case.

        Args:
            batch: Number of samples; the usual one by default.
            free: Sizes for free (`None`) axes, by axis.
            seed: Another seed draws other values.
            scale: Multiplies floating-point inputs.
        """
        size = self.batch if batch is None else batch
        return self.arguments_of(lambda spec: spec.concrete(size, free), seed=seed, scale=scale)

    def arguments_of(
        self, shape_of: Callable[[InputSpec], tuple[int, ...]], *, seed: int = 0, scale: float = 1.0
    ) -> Arguments:
        """Draw call arguments whose shapes `shape_of` chooses; otherwise as `arguments`."""
        rng = np.random.default_rng((self.seed, seed))

        def draw(spec: InputSpec) -> Array:
            array = spec.sample(rng, shape_of(spec))
            return (array * scale).astype(array.dtype) if spec.dtype.startswith(("float", "bfloat")) else array

        tensors = tuple(name for name, value in self.case.call.items() if _holds_specs(value))
        call = {name: _map_specs(draw, value) if name in tensors else value for name, value in self.case.call.items()}
        return Arguments(_map_specs(draw, self.case.inputs), call, tensors)

    @cached_property
    def usual(self) -> Arguments:
        """The usual arguments: those of `arguments()`, drawn once."""
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

        Global random generators are seeded first, and the layer's non-trainable variables (statistics, seeds) are
        put back afterwards, so that equal calls give equal outputs and one check never disturbs the next.

        Args:
            layer: The layer.
            arguments: What to call it with.
            training: Passed on if it is not None; a layer whose `call` does not take it hands it to its sublayers.
            keep_state: Leave state as the call left it.

        Raises:
            LayerError: If the layer raises.
        """
        import keras

        outputs = self.call_raw(layer, arguments, training=training, keep_state=keep_state)
        return keras.tree.map_structure(_to_numpy, outputs)

    def call_raw(
        self, layer: Any, arguments: Arguments, *, training: bool | None = None, keep_state: bool = False
    ) -> Any:
        """As `call`, but return what the layer returned."""
        import keras

        keras.utils.set_random_seed(self.seed)
        before = snapshot(layer.non_trainable_variables) if getattr(layer, "built", False) and not keep_state else None
        options = {} if training is None else {"training": training}
        tensors = arguments.map(lambda array: keras.ops.convert_to_tensor(array.copy()))  # torch would share memory
        with blaming(f"calling it on {describe(arguments)}"), self.backend.inference():
            outputs = layer(tensors.inputs, **{**tensors.call, **options})
        if before is not None:
            restore(before)
        return outputs

    def symbolic_call(self, layer: Any, *, batch: int | None = None, free: bool = True) -> Any:
        """Call the layer on `KerasTensor`s and return the `KerasTensor`s it gives.

        Args:
            layer: The layer.
            batch: The batch axis: None (unknown) or a size.
            free: Whether the case's free axes are left unknown; else they get their usual sizes.
        """
        import keras

        def symbol(spec: InputSpec) -> Any:
            shape = (batch, *spec.shape[1:]) if free else (batch, *spec.concrete(0)[1:])
            return keras.KerasTensor(shape, dtype=spec.dtype)

        call = {name: _map_specs(symbol, value) for name, value in self.case.call.items()}
        with blaming("calling it symbolically, as a functional model does,"):
            return layer(_map_specs(symbol, self.case.inputs), **call)

    def function(self, layer: Any, arguments: Arguments, *, training: bool | None = None) -> Callable[..., Any]:
        """Return the layer as a function of flat native tensors, in the order of `arguments.arrays()`."""
        options = {} if training is None else {"training": training}

        def flat(*tensors: Any) -> Any:
            given = arguments.replace_arrays(tensors)
            return layer(given.inputs, **{**given.call, **options})

        return flat


def takes_argument(layer: Any, name: str) -> bool:
    """Whether the layer's `call` has an argument of this name."""
    return name in layer._call_signature.parameters if hasattr(layer, "_call_signature") else False


def snapshot(variables: Sequence[Any]) -> list[tuple[Any, Array]]:
    """Remember the values of variables."""
    import keras

    return [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in variables]


def restore(values: Sequence[tuple[Any, Array]]) -> None:
    """Give variables back the values that `snapshot` remembered."""
    for variable, value in values:
        variable.assign(value)


def copy_weights(source: Any, target: Any) -> None:
    """Give `target`, a layer built from the same case, the values of every variable of `source`, seeds included."""
    for there, here in zip(target.variables, source.variables, strict=True):
        there.assign(here.value)


def randomise(layer: Any, seed: int = 0) -> None:
    """Move every floating-point weight of a built layer off its initial value, so that lost values show."""
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
    import keras

    return keras.tree.map_structure(lambda leaf: function(leaf) if isinstance(leaf, InputSpec) else leaf, value)


@contextmanager
def blaming(doing: str) -> Iterator[None]:
    """Turn what the layer raises into a `LayerError` that says what was being done and what first went wrong.

    Its warnings are not ours to show. `SystemExit` and `MemoryError` pass: they are no answer, and end the check.
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
