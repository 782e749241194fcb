"""`influence`: which slices of a layer's inputs move which slices of its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.case import Case, InputSpec
from layerwright.core.errors import UsageError
from layerwright.report import notebook
from layerwright.report.shading import KEY, shaded
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import MOST_SLICES, UNREPEATABLE, calling, influence_map, spread, with_axis
from layerwright.trial.trial import Trial

BATCH = 4
"""How many samples are drawn where inputs are given as shapes whose batch axis is free."""
EXAMPLES = "an array, a shape such as (None, 10, 5), an InputSpec, or a list, tuple or dict of them"


@dataclass(frozen=True, eq=False, repr=False)
class InfluenceMap:
    """How much each output slice moved when each input slice was replaced.

    Attributes:
        layer: The layer's name.
        axis: The axis along which slices were replaced.
        matrix: Of shape (output slices, input slices): entry (i, j) is the largest absolute change of output slice i
            when input slice j was replaced; 0 where not one bit changed, infinite where it became NaN or changed its
            shape, NaN where slice j was not tried.
    """

    layer: str
    axis: int
    matrix: Array

    @property
    def coupled(self) -> bool:
        """Whether an output slice moved with an input slice of another index."""
        return bool((np.where(np.eye(*self.matrix.shape) > 0, 0.0, self.matrix) > 0).any())

    @property
    def causal(self) -> bool:
        """Whether no output slice moved with an input slice of a higher index."""
        return not bool((np.triu(np.nan_to_num(self.matrix), 1) > 0).any())

    @property
    def slices(self) -> str:
        """What the slices are: samples along axis 0, else slices along that axis."""
        return "sample" if self.axis == 0 else f"slice along axis {self.axis}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the map with matplotlib: a row an output slice, a column an input slice that was replaced.

        The colours are logarithmic where entries span more than two orders of magnitude; entries of 0 and columns not
        tried stay blank.

        Args:
            ax: The matplotlib axes to draw on; new ones by default.

        Returns:
            The axes.

        Raises:
            UsageError: If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
            from matplotlib.colors import LogNorm, Normalize
        except ModuleNotFoundError as error:
            raise UsageError(
                "plotting an influence map needs matplotlib: pip install 'layerwright[report]'."
            ) from error
        ax = plt.subplots()[1] if ax is None else ax
        finite = self.matrix[np.isfinite(self.matrix) & (self.matrix > 0)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        norm = LogNorm(low, high) if low and high / low > 100 else Normalize(0.0, high)
        shown = np.where(self.matrix > 0, np.minimum(self.matrix, high), np.nan)
        image = ax.imshow(shown, norm=norm, cmap="viridis")
        ax.set(title=f"influence map of {self.layer}", xlabel=f"input {self.slices} replaced")
        ax.set_ylabel(f"output {self.slices}")
        ax.figure.colorbar(image, ax=ax, label="largest change")
        return ax

    def __repr__(self) -> str:
        shape = f"shape={self.matrix.shape}"
        return f"InfluenceMap({self.layer!r}, axis={self.axis}, {shape}, coupled={self.coupled}, causal={self.causal})"

    def __str__(self) -> str:
        rows, columns = self.matrix.shape
        tried = [index for index in range(columns) if not np.isnan(self.matrix[:, index]).all()]
        shown = spread(rows)
        kept = [tried[index] for index in spread(len(tried))]
        left_out = rows > len(shown) or columns > len(kept)
        head = f"{self.layer}, axis {self.axis}: row = output, column = input replaced; {KEY}"
        numbers = f"\nrows {', '.join(map(str, shown))}; columns {', '.join(map(str, kept))}" if left_out else ""
        return "\n".join([head + numbers, *(f"│{row}│" for row in shaded(self.matrix[np.ix_(shown, kept)]))])

    def _repr_html_(self) -> str:
        return notebook.influence(self)


def influence(
    layer: Any,
    inputs: Any,
    axis: int = 0,
    training: bool = False,
    *,
    call: Mapping[str, Any] | None = None,
    most: int = MOST_SLICES,
    seed: int = 0,
) -> InfluenceMap:
    """Measure which slices of a layer's inputs move which slices of its outputs.

    Slice j of the inputs is replaced and the layer called again from the same state and seeds; entry (i, j) of the map
    is the largest absolute change of output slice i. Along axis 0 slices are samples: a layer that treats each sample
    for itself has a diagonal map, down to the last bit. Along time a causal layer has a lower triangular one.

    The layer is called as it is, on the backend in use; one that is not built yet is built by its first call. Weights
    and state are put back after each call; global random generators are seeded before it, as in `lw.check`. Note that
    a gate whose weight is 0 hides what lies behind it.

    Args:
        layer: A `keras.layers.Layer`, built or not, or a model.
        inputs: The first call argument, batch first: an array, a shape such as `(None, 10, 5)`, an `InputSpec`, or a
            list, tuple or dict of them. For shapes values are drawn, and 4 samples where the batch axis is `None`.
        axis: Along which axis slices are replaced: 0 is the batch, 1 usually time. Along axis 0 every array is
            replaced, those in `call` too; along others each array in `inputs` that has as many slices as the first.
        training: Passed on to the layer.
        call: Further call arguments by name; arrays and instances of `InputSpec` become tensors.
        most: How many slices, evenly spread, are replaced at most.
        seed: Where everything drawn at random starts from. Floats are replaced by normal draws of the array's own mean
            and standard deviation, other values by others that the array holds.

    Returns:
        The map: `matrix`, `coupled`, `causal`, `plot()`; printed, it draws itself.

    Raises:
        UsageError: If `layer` is no layer, `inputs` has no such axis or holds nothing to replace, no output has that
            axis, or equal calls give different outputs.
        LayerError: If the layer raises.

    Example:
        >>> import keras
        >>> import layerwright as lw
        >>> lw.influence(keras.layers.UnitNormalization(axis=-1), (None, 5)).coupled
        False
        >>> lw.influence(keras.layers.UnitNormalization(axis=0), (None, 5)).coupled
        True
        >>> lw.influence(keras.layers.Conv1D(4, kernel_size=3, padding="causal"), (None, 10, 5), axis=1).causal
        True
    """
    import keras

    if not isinstance(layer, keras.Layer):
        raise UsageError(f"influence() takes a layer or a model (got {layer!r}); pass an instance, such as Dense(4).")
    usual, other = _drawn(inputs, call or {}, seed)
    arrays, trial = usual.arrays(), Trial(Case(lambda: layer), seed)
    first = arrays[0]
    if not -first.ndim <= axis < first.ndim:
        raise UsageError(f"inputs of shape {first.shape} have no axis {axis}; give one from 0 to {first.ndim - 1}.")
    axis %= first.ndim
    size = first.shape[axis]
    places = with_axis(arrays if axis == 0 else leaves(usual.inputs), axis, size)
    if axis == 0 and len(places) < len(arrays):
        raise UsageError(f"every array needs as many samples (got {', '.join(str(each.shape) for each in arrays)}).")
    if size == 0 or all(np.array_equal(arrays[place], other.arrays()[place]) for place in places):
        raise UsageError(f"inputs of shape {first.shape} hold no two different values; give some to replace them by.")
    if not layer.built:
        trial.call(layer, usual, training=False)  # a trace would leave its tracers in what is built
    run = calling(trial, layer, usual, training)
    outputs = run(usual)
    rows = next((output.shape[axis] for output in outputs if output.ndim > axis), 0)
    fitting = with_axis(outputs, axis, rows)
    if not rows:
        shapes = ", ".join(str(output.shape) for output in outputs) or "none"
        raise UsageError(f"no output of {layer.name} has an axis {axis} (outputs: {shapes}); give another axis.")

    def sliced(arguments: Arguments) -> list[Array]:
        made = run(arguments)
        return [made[place] for place in fitting]

    matrix = influence_map(sliced, usual, other, axis=axis, places=places, most=most, rows=rows)
    if matrix is None:
        raise UsageError(f"{layer.name}: {UNREPEATABLE}; draw random numbers from a keras.random.SeedGenerator.")
    return InfluenceMap(layer.name, axis, matrix)


def _drawn(inputs: Any, call: Mapping[str, Any], seed: int) -> tuple[Arguments, Arguments]:
    """Return what the layer is called with, and what takes its place slice by slice."""
    import keras

    tensors = tuple(name for name, value in call.items() if any(map(_is_tensor, keras.tree.flatten(value))))
    sources = {name: _sources(value) if name in tensors else value for name, value in call.items()}
    given = Arguments(_sources(inputs), sources, tensors)
    sizes = [each.shape[0] for each in given.arrays() if each.shape and each.shape[0] is not None]
    rng, other_rng = (np.random.default_rng((seed, draw)) for draw in (0, 1))

    def usual(source: Any) -> Array:
        if not isinstance(source, InputSpec):
            return np.asarray(source)
        return source.sample(rng, source.concrete(sizes[0] if sizes else BATCH))

    def other(source: Any) -> Array:
        if not isinstance(source, InputSpec):
            return _other_values(source, other_rng)
        drawn = source.sample(other_rng, source.concrete(sizes[0] if sizes else BATCH))
        return np.roll(drawn, 1, axis=0)  # a padding mask, which is not drawn, then differs as well

    return given.map(usual), given.map(other)


def _sources(value: Any) -> Any:
    """Return a structure of arrays and specs; a tuple of sizes is a shape."""
    import keras

    if isinstance(value, (InputSpec, np.ndarray)):
        return value
    if _is_tensor(value):
        return np.asarray(keras.ops.convert_to_numpy(value))
    if isinstance(value, Mapping):
        return {name: _sources(value[name]) for name in sorted(value)}  # keras.tree sorts them on some backends only
    if isinstance(value, tuple) and value and all(size is None or isinstance(size, int) for size in value):
        return InputSpec(value)
    if isinstance(value, (list, tuple)) and value:
        return type(value)(map(_sources, value))
    raise UsageError(f"inputs must be {EXAMPLES} (got {value!r}).")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _other_values(array: Array, rng: np.random.Generator) -> Array:
    """Return other values of the same kind: normal draws for floats, else values that the array holds elsewhere."""
    if "float" in str(array.dtype):
        known = array[np.isfinite(array)].astype("float64")
        mean, spread_of = (float(known.mean()), float(known.std())) if known.size else (0.0, 1.0)
        return np.asarray(rng.normal(mean, spread_of or 1.0, array.shape), array.dtype)
    if array.dtype == bool:
        return np.roll(array, 1, axis=0)
    values = np.unique(array)
    if len(values) < 2:
        return array
    shift = rng.integers(1, len(values), array.shape)
    return np.asarray(values[(np.searchsorted(values, array) + shift) % len(values)])
