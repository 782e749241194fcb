"""A trial: one case, constructed, built, fed and called on this process's backend. All that a check gets to see.

Keras is imported inside functions, so that the catalogue of checks can be listed without loading it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from layerwright import backends
from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import LayerError, chain, root_cause

Array = np.ndarray[Any, Any]
BATCH_SIZES = (4, 3, 7, 11)


@dataclass(frozen=True)
class Arguments:
    """What a layer is called with, as NumPy arrays.

    Attributes:
        inputs: The first call argument: an array, or a list, tuple or dict of arrays.
        call: The further call arguments by name.
        tensors: Names in `call` that hold tensors.
    """

    inputs: Any
    call: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()

    def map(self, function: Callable[[Array], Any]) -> Self:
        """Apply `function` to every array; a new structure is returned and this one is left alone."""
        import keras

        inputs = keras.tree.map_structure(function, self.inputs)  # before `call`: the order of `arrays()`
        call = {name: keras.tree.map_structure(function, self.call[name]) for name in self.tensors}
        return replace(self, inputs=inputs, call={**self.call, **call})

    def arrays(self) -> list[Array]:
        """Return every array: first those of `inputs`, then those of `call`."""
        return [array for _, array in self.named_arrays()]

    def named_arrays(self) -> list[tuple[str, Array]]:
        """Return every array with its name, such as `inputs`, `inputs[0]` or `mask`."""
        trees = [("inputs", self.inputs), *((name, self.call[name]) for name in self.tensors)]
        return [
            (name + "".join(f"[{part!r}]" for part in path), array)
            for name, tree in trees
            for path, array in _flatten_with_path(tree)
        ]

    def rows(self, index: Any) -> Self:
        """Select samples: index axis 0 of every array."""
        return self.map(lambda array: array[index])

    def replace_arrays(self, arrays: Sequence[Array]) -> Self:
        """Return the same structure holding `arrays`, in the order of `arrays()`."""
        import keras

        left = iter(arrays)

        def refill(tree: Any) -> Any:
            return keras.tree.pack_sequence_as(tree, [next(left) for _ in keras.tree.flatten(tree)])

        inputs = refill(self.inputs)
        return replace(
            self, inputs=inputs, call={**self.call, **{name: refill(self.call[name]) for name in self.tensors}}
        )

    @property
    def batch(self) -> int:
        """The number of samples."""
        return int(self.arrays()[0].shape[0])


class Trial:
    """One case on this process's backend.

    Everything drawn at random follows from `seed`; every construction starts from the same global seed, so two
    constructions have equal initial weights.
    """

    def __init__(self, case: Case, seed: int = 0) -> None:
        self.case = case
        self.seed = seed
        self.backend = backends.current()

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


def leaves(outputs: Any) -> list[Array]:
    """Return the arrays of an output structure, in order."""
    import keras

    return [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]


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


def bitwise_equal(first: Any, second: Any) -> bool:
    """Whether two output structures hold the same arrays, bit by bit; NaN equals NaN."""
    ours, theirs = leaves(first), leaves(second)
    return len(ours) == len(theirs) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(ours, theirs, strict=True)
    )


def largest_difference(first: Any, second: Any) -> float:
    """Return the largest absolute difference between two output structures relative to the scale of the first.

    The scale of an array is its largest finite absolute value, at least 1. Structures that differ in number or shape
    of arrays, or in where they are NaN or infinite, differ by infinity.
    """
    ours, theirs = leaves(first), leaves(second)
    if len(ours) != len(theirs):
        return float("inf")
    return max((relative_difference(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def relative_difference(a: Array, b: Array) -> float:
    """Return the largest absolute difference of two arrays relative to the scale of the first; see above."""
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind in "USO" or b.dtype.kind in "USO":
        return 0.0 if np.array_equal(a, b) else float("inf")
    a, b = a.astype("float64"), b.astype("float64")
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return float("inf")
    scale = max(1.0, float(np.abs(a[finite]).max(initial=0.0)))
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)) / scale


def describe(arguments: Arguments) -> str:
    """Say in words what a layer is called with: names, shapes and dtypes."""
    words = []
    for name, array in arguments.named_arrays():
        dtype = "" if str(array.dtype) == "float32" else f" {array.dtype}"
        words.append(f"{'' if name == 'inputs' else name + ' '}{tuple(array.shape)}{dtype}")
    return ", ".join(words)


def _to_numpy(tensor: Any) -> Any:
    import keras

    return None if tensor is None else np.asarray(keras.ops.convert_to_numpy(tensor))


def _holds_specs(value: Any) -> bool:
    import keras

    return any(isinstance(leaf, InputSpec) for leaf in keras.tree.flatten(value))


def _map_specs(function: Callable[[InputSpec], Any], value: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda leaf: function(leaf) if isinstance(leaf, InputSpec) else leaf, value)


def _flatten_with_path(tree: Any) -> Iterator[tuple[tuple[Any, ...], Array]]:
    import keras

    yield from keras.tree.flatten_with_path(tree)


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
