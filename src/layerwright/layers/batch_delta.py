"""`BatchDelta`: the difference between each batch and the previous batch."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes
from layerwright.layers._masks import broadcast_mask

First = Literal["zeros", "input"]


@case(init={"batch_size": 4, "first": "input"}, inputs=(None, None, 5), fixed_shape=True)
@case(init={"reduce": "mean", "first": "input"}, inputs=(None, 6, 5), call={"mask": InputSpec((None, 6), "bool")})
@case(init={"reduce": "mean", "update_in_inference": True}, inputs=(None, 5), stateful=True)
@keras.saving.register_keras_serializable(package="layerwright")
class BatchDelta(keras.layers.Layer):
    """Subtract the previous batch, row by row or its mean.

        y[i] = x[i] - p[i]                    p: the rows of the previous batch
        y[i] = x[i] - p                       reduce="mean", p: the mean of the previous batch

    p is a non-trainable weight. It is saved with the model, and no gradient flows through it. Each call in training
    updates p; a call in inference does so only with `update_in_inference`. If a batch has fewer rows than the previous
    batch, the layer compares and updates only the first rows of p. A row without a previous row gives the output that
    `first` selects. Masked steps count as zeros.

    A simple implementation keeps the last batch in a Python attribute. Inside `fit`, this attribute holds a tensor of a
    trace: TensorFlow then compares every batch with the batch of the trace, and JAX raises an error. A smaller last
    batch fails on both backends.

    Args:
        batch_size: The largest number of rows in a batch; by default the size of the batch axis in `build`.
        reduce: None to compare rows, or `"mean"` to compare with the mean.
        update_in_inference: Whether calls in inference also update p.
        first: The output for rows without a previous row: `"zeros"`, or `"input"` for the row itself.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)`. All sizes except the batch size must be known.
        mask: `(batch, time)`, or more leading axes of the inputs. By default, the mask attached to the inputs.

    Output: the shape of the inputs, with the same mask.

    Raises:
        ValueError: If an argument is invalid, a required size is unknown, or a batch has more than `batch_size` rows.

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
        """Create the weights for inputs of this shape."""
        rows, *sizes = input_shape
        rows = self.batch_size or rows
        if None in sizes or (rows is None and self.reduce is None):
            raise ValueError(
                f"BatchDelta: all sizes of the inputs must be known (got shape {tuple(input_shape)}); declare them in "
                "keras.Input, and pass batch_size if the batch size is unknown."
            )
        kept = () if self.reduce == "mean" else (rows,)
        self.previous = self._add_state("previous", (*kept, *sizes), self.variable_dtype)
        self.seen = self._add_state("seen", kept, "bool")
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes=dict(enumerate(sizes, start=1)))

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return the inputs minus the previous batch."""
        x = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            x = ops.where(broadcast_mask("BatchDelta", mask, x), x, 0.0)
        rows = ops.shape(x)[0]
        if self.reduce is None and isinstance(rows, int) and rows > self.previous.shape[0]:
            raise ValueError(
                f"BatchDelta: the batch has {rows} rows, but batch_size={self.previous.shape[0]}; pass the size of the "
                "largest batch as batch_size."
            )
        previous, seen = self.previous.value, self.seen.value
        if self.reduce is None:
            previous = _first_rows(previous, rows)
            seen = _first_rows(seen, rows)[(..., *[None] * (len(x.shape) - 1))]
        outputs = x - ops.cast(ops.stop_gradient(previous), x.dtype)  # `previous` starts as zeros
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

    def _add_state(self, name: str, shape: Sequence[Any], dtype: str) -> Any:
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


def _first_rows(state: Any, rows: Any) -> Any:
    """Return the first `rows` rows. With a symbolic number, as in a JAX export, a slice gives min(all, rows) rows."""
    if isinstance(rows, int) or ops.is_tensor(rows):
        return state[:rows]
    return ops.take(state, ops.cumsum(ops.ones((rows,), "int32")) - 1, axis=0)


def reference(batches: Sequence[Any], *, reduce: str | None = None, first: First = "zeros") -> list[Any]:
    """Return the outputs in float64 NumPy for a sequence of training batches."""
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

BatchChangeTracker = BatchDelta
"""The name that articles on custom Keras layers use."""

__all__ = ["BatchChangeTracker", "BatchDelta"]
