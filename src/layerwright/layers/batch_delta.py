"""`BatchDelta`: what changed since the batch before."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes
from layerwright.layers._masks import laid_over

First = Literal["zeros", "input"]


@case(init={"batch_size": 4, "first": "input"}, inputs=(None, None, 5), fixed_shape=True)
@case(init={"reduce": "mean", "first": "input"}, inputs=(None, 6, 5), call={"mask": InputSpec((None, 6), "bool")})
@case(init={"reduce": "mean", "update_in_inference": True}, inputs=(None, 5), stateful=True)
@keras.saving.register_keras_serializable(package="layerwright")
class BatchDelta(keras.layers.Layer):
    """Subtract the batch before, row by row or on average.

        y[i] = x[i] - p[i]                    p: the rows of the batch before
        y[i] = x[i] - p                       reduce="mean", p: the mean of the batch before

    p is state: a non-trainable weight, which is saved, and through which no gradient flows. It is replaced in training,
    in inference only if asked. A batch smaller than the one before is compared with, and replaces, the first of its
    rows. What has no predecessor gives zeros, or itself, as `first` says. Steps that the mask leaves out are taken as
    zeros.

    The naive version keeps the last batch as a Python attribute. Within `fit` that is a tensor of a trace: TensorFlow
    compares each batch with the one it traced with, JAX raises, and a smaller last batch breaks both.

    Args:
        batch_size: The most rows that a batch has; by default the size of the batch axis when the layer is built.
        reduce: None, or `"mean"`.
        update_in_inference: Whether a call in inference replaces p too.
        first: What rows without predecessor give: `"zeros"` or the `"input"`.
        **kwargs: Those of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)`, all sizes but the first known.
        mask: `(batch, time)`, or more leading axes of the inputs. By default the mask that travels with the inputs.

    Output: the shape of the inputs; the mask travels on.

    Raises:
        ValueError: If an argument is not one of those above, a size that the state needs is unknown, or a batch has
            more rows than `batch_size`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import BatchDelta
        >>> layer = BatchDelta(first="input")
        >>> for batch in (np.array([[1.0], [5.0]]), np.array([[4.0], [5.5]])):
        ...     print(keras.ops.convert_to_numpy(layer(batch, training=True)).ravel())
        [1. 5.]
        [3.  0.5]
    """

    def __init__(
        self,
        batch_size: int | None = None,
        reduce: Literal["mean"] | None = None,
        update_in_inference: bool = False,
        first: First = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if batch_size is not None:
            check_sizes("BatchDelta", batch_size=batch_size)
        check_choice("BatchDelta", "reduce", reduce, (None, "mean"))
        check_choice("BatchDelta", "first", first, get_args(First))
        self.batch_size = batch_size
        self.reduce = reduce
        self.update_in_inference = update_in_inference
        self.first = first
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the state for inputs of this shape."""
        rows, *sizes = input_shape
        rows = self.batch_size or rows
        if None in sizes or (rows is None and self.reduce is None):
            raise ValueError(
                f"BatchDelta: the state needs all sizes (got inputs of shape {tuple(input_shape)}); pass inputs of "
                "known size, and batch_size where that of the batch is unknown."
            )
        kept = () if self.reduce == "mean" else (rows,)
        self.previous = self._state("previous", (*kept, *sizes), self.variable_dtype)
        self.seen = self._state("seen", kept, "bool")
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes=dict(enumerate(sizes, start=1)))

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return the inputs less the batch before."""
        x = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            x = ops.where(laid_over("BatchDelta", mask, x), x, 0.0)
        rows = ops.shape(x)[0]
        if self.reduce is None and isinstance(rows, int) and rows > self.previous.shape[0]:
            raise ValueError(
                f"BatchDelta: a batch of {rows} rows is larger than batch_size={self.previous.shape[0]}; "
                "pass the largest batch's size as batch_size."
            )
        previous, seen = self.previous.value, self.seen.value
        if self.reduce is None:
            previous = _first(previous, rows)
            seen = _first(seen, rows)[(..., *[None] * (len(x.shape) - 1))]
        outputs = x - ops.cast(ops.stop_gradient(previous), x.dtype)  # which is 0 before the first
        if self.first == "zeros":
            outputs = outputs * ops.cast(seen, x.dtype)
        if training or self.update_in_inference:
            self._remember(x, rows)
        return outputs

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("batch_size", "reduce", "update_in_inference", "first")}
        return {**super().get_config(), **own}

    def _state(self, name: str, shape: Sequence[Any], dtype: str) -> Any:
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", dtype=dtype, trainable=False, autocast=False
        )

    def _remember(self, x: Any, rows: Any) -> None:
        x = ops.cast(ops.stop_gradient(x), self.previous.dtype)
        if self.reduce == "mean":
            count = ops.sum(ops.ones((rows,), x.dtype))
            mean = ops.sum(x, axis=0) / ops.maximum(count, 1.0)
            self.previous.assign(ops.where(count > 0, mean, self.previous.value))
            self.seen.assign(ops.logical_or(self.seen.value, count > 0))
            return
        kept, seen = self.previous.value[rows:], self.seen.value[rows:]
        self.previous.assign(ops.reshape(ops.concatenate([x, kept], axis=0), self.previous.shape))
        now = ops.ones_like(self.seen.value)[:rows]
        self.seen.assign(ops.reshape(ops.concatenate([now, seen], axis=0), self.seen.shape))


def _first(state: Any, rows: Any) -> Any:
    """Return the first rows; of a symbolic number, as JAX exports with, slicing would make min(all, rows)."""
    if isinstance(rows, int) or ops.is_tensor(rows):
        return state[:rows]
    return ops.take(state, ops.cumsum(ops.ones((rows,), "int32")) - 1, axis=0)


def reference(batches: Sequence[Any], *, reduce: str | None = None, first: First = "zeros") -> list[Any]:
    """The same in float64 NumPy: what training on these batches, one after another, gives for each."""
    previous: dict[int, Any] = {}
    outputs = []
    for batch in batches:
        x = np.asarray(batch, "float64")
        before = [previous.get(0 if reduce else row) for row in range(len(x))]
        start = np.zeros_like(x) if first == "zeros" else x
        outputs.append(
            np.stack([start[row] if p is None else x[row] - p for row, p in enumerate(before)]) if len(x) else x
        )
        previous.update({0: x.mean(0)} if reduce and len(x) else {} if reduce else dict(enumerate(x)))
    return outputs


CASES = declared_cases(BatchDelta)
