"""`influence`: measure which slices of a layer's inputs change which slices of its outputs."""

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
"""How many samples are drawn if inputs are given as shapes and their batch axis is free."""
EXAMPLES = "an array, a shape such as (None, 10, 5), an InputSpec, or a list, tuple or dict of them"


@dataclass(frozen=True, eq=False, repr=False)
class InfluenceMap:
    """How much each output slice changed when each input slice was replaced.

    Attributes:
        layer: The layer's name.
        axis: The axis along which slices were replaced.
        matrix: An array of shape (output slices, input slices). Entry (i, j) is the largest absolute change of output
            slice i when input slice j was replaced: 0 if no bit changed, infinite if it became NaN or changed its
            shape, NaN if slice j was not replaced.
    """

    layer: str
    axis: int
    matrix: Array

    @property
    def coupled(self) -> bool:
        """Whether replacing an input slice changed an output slice of another index."""
        return bool((np.where(np.eye(*self.matrix.shape) > 0, 0.0, self.matrix) > 0).any())

    @property
    def causal(self) -> bool:
        """Whether replacing an input slice changed no output slice of a lower index."""
        return not bool((np.triu(np.nan_to_num(self.matrix), 1) > 0).any())

    @property
    def slices(self) -> str:
        """What a slice is called: a sample along axis 0, otherwise a slice along that axis."""
        return "sample" if self.axis == 0 else f"slice along axis {self.axis}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the map with matplotlib. Each row is an output slice, each column an input slice that was replaced.

        The colour scale is logarithmic if entries span more than two orders of magnitude. Entries of 0 and slices that
        were not replaced stay blank.

        Args:
            ax: The matplotlib axes to draw on; new axes by default.

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
                "plotting an influence map needs matplotlib; install it with pip install 'layerwright[report]'."
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
    """Measure which slices of a layer's inputs change which slices of its outputs.

    The input slices are replaced one at a time, and each time the layer is called again from the same state and seeds.
    Entry (i, j) of the map is the largest absolute change of output slice i when input slice j was replaced. Along axis
    0 a slice is a sample: if the layer treats each sample independently, the map is diagonal, to the last bit. Along
    the time axis, the map of a causal layer is lower triangular.

    The layer is called as it is, on the backend in use. If it is not built yet, its first call builds it. Weights and
    state are restored after each call. Global random generators are seeded before each call, as in `lw.check`. Note
    that a gate whose weight is 0 hides the influence of everything behind it.

    Args:
        layer: A `keras.layers.Layer`, built or not, or a model.
        inputs: The first call argument, batch first: an array, a shape such as `(None, 10, 5)`, an `InputSpec`, or a
            list, tuple or dict of them. For shapes, random values are drawn, with 4 samples if the batch axis is
            `None`.
        axis: The axis along which slices are replaced: 0 is the batch, 1 is usually time. Along axis 0 slices of every
            array are replaced, also in `call`. Along another axis they are replaced in each array of `inputs` that has
            as many slices as the first.
        training: Passed to the layer.
        call: Further call arguments by name. Arrays and instances of `InputSpec` become tensors.
        most: The largest number of slices to replace, evenly spread.
        seed: The seed of all random values. Floats are replaced by normal draws with the mean and standard deviation
            of the array, other values by other values of the array.

    Returns:
        The influence map, with `matrix`, `coupled`, `causal` and `plot()`. Printing it draws it as text.

    Raises:
        UsageError: If `layer` is not a layer, `inputs` has no such axis or no two different values, no output has the
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
    usual, other = _usual_and_other_arguments(inputs, call or {}, seed)
    arrays, trial = usual.arrays(), Trial(Case(lambda: layer), seed)
    first = arrays[0]
    if not -first.ndim <= axis < first.ndim:
        raise UsageError(f"inputs of shape {first.shape} have no axis {axis}; use an axis from 0 to {first.ndim - 1}.")
    axis %= first.ndim
    size = first.shape[axis]
    places = with_axis(arrays if axis == 0 else leaves(usual.inputs), axis, size)
    if axis == 0 and len(places) < len(arrays):
        raise UsageError(
            f"all arrays must have the same number of samples (got {', '.join(str(each.shape) for each in arrays)})."
        )
    if size == 0 or all(np.array_equal(arrays[place], other.arrays()[place]) for place in places):
        raise UsageError(
            f"inputs of shape {first.shape} contain no two different values; pass at least two different values."
        )
    if not layer.built:
        # Without this call, a trace could build the layer and leave its tracers in the variables.
        trial.call(layer, usual, training=False)
    run = calling(trial, layer, usual, training)
    outputs = run(usual)
    rows = next((output.shape[axis] for output in outputs if output.ndim > axis), 0)
    fitting = with_axis(outputs, axis, rows)
    if not rows:
        shapes = ", ".join(str(output.shape) for output in outputs) or "none"
        raise UsageError(f"no output of {layer.name} has an axis {axis} (output shapes: {shapes}); use another axis.")

    def sliced(arguments: Arguments) -> list[Array]:
        made = run(arguments)
        return [made[place] for place in fitting]

    matrix = influence_map(sliced, usual, other, axis=axis, places=places, most=most, rows=rows)
    if matrix is None:
        raise UsageError(f"{layer.name}: {UNREPEATABLE}; draw random numbers with a keras.random.SeedGenerator.")
    return InfluenceMap(layer.name, axis, matrix)


def _usual_and_other_arguments(inputs: Any, call: Mapping[str, Any], seed: int) -> tuple[Arguments, Arguments]:
    """Return the arguments of the layer, and the values that replace them slice by slice."""
    import keras

    tensors = tuple(name for name, value in call.items() if any(map(_is_tensor, keras.tree.flatten(value))))
    sources = {name: _to_arrays_and_specs(value) if name in tensors else value for name, value in call.items()}
    given = Arguments(_to_arrays_and_specs(inputs), sources, tensors)
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
        # A padding mask is not random: it differs only after it was moved to other samples.
        return np.roll(drawn, 1, axis=0)

    return given.map(usual), given.map(other)


def _to_arrays_and_specs(value: Any) -> Any:
    """Convert tensors to arrays and shapes to specs in a structure; a tuple of sizes is a shape."""
    import keras

    if isinstance(value, (InputSpec, np.ndarray)):
        return value
    if _is_tensor(value):
        return np.asarray(keras.ops.convert_to_numpy(value))
    if isinstance(value, Mapping):
        # keras.tree sorts keys on some backends only.
        return {name: _to_arrays_and_specs(value[name]) for name in sorted(value)}
    if isinstance(value, tuple) and value and all(size is None or isinstance(size, int) for size in value):
        return InputSpec(value)
    if isinstance(value, (list, tuple)) and value:
        return type(value)(map(_to_arrays_and_specs, value))
    raise UsageError(f"inputs must be {EXAMPLES} (got {value!r}).")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _other_values(array: Array, rng: np.random.Generator) -> Array:
    """Return other values of the same kind: normal draws for floats, otherwise other values of the array."""
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
