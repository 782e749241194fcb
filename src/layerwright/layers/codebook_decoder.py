"""`CodebookDecoder`: converts code indices to vectors, for one or several quantizers."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright import backends
from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes, is_integer
from layerwright.layers._masks import broadcast_mask

Combine = Literal["sum", "concat"]
OutOfRange = Literal["error", "clip", "zero"]


RAMP = np.arange(42.0, dtype="float32").reshape(2, 7, 3)


@case(
    init={"num_codes": 7, "code_dim": 3},
    inputs=InputSpec((None, None), "int32", -1, 7),
    masking="generated",
    others={"codebook": [RAMP[0]]},
)
@case(
    init={"num_codes": 7, "code_dim": 3, "num_quantizers": 2, "combine": "concat", "trainable": True},
    inputs=InputSpec((None, None, 2), "int32", -1, 7),
    masking="generated",
    others={"codebook": [RAMP]},
)
@case(
    init={"num_codes": 7, "code_dim": 3, "num_quantizers": 2, "invalid_index": None},
    inputs=InputSpec((None, 2), "int32", 0, 7),
    others={"codebook": [RAMP]},
)
@keras.saving.register_keras_serializable(package="layerwright")
class CodebookDecoder(keras.layers.Layer):
    """Look up the codebook vectors of code indices.

        y = C[i]                              one quantizer, (…) to (…, code_dim)
        y = Σ_q C[q, i[…, q]]                 num_quantizers > 1, combine="sum": residual quantisation
        y = C[0, i[…, 0]] ‖ C[1, i[…, 1]] …   combine="concat": product quantisation
        y[…, q, :] = C[q, i[…, q]]            combine=None

    (van den Oord, Vinyals, Kavukcuoglu 2017, VQ-VAE, arXiv:1711.00937; Zeghidour et al. 2021, SoundStream,
    arXiv:2107.03312; Jégou, Douze, Schmid 2011, product quantisation, IEEE TPAMI 33(1).)

    `invalid_index` means that there is no code. It gives zeros, and the output carries a mask that is False there. The
    codebook is a weight: it is saved with the weights, not in the config. The lookup is a gather, whose cost does not
    depend on the number of codes.

    A simple implementation multiplies a one-hot matrix by the codebook, whose cost grows with the number of codes.
    Others accept float indices, but half precision rounds integers from 2049 on. Without a rule for indices that are
    out of range, the result depends on the backend: the last vector, NaN, zeros, an error, or, for negative indices, a
    vector counted from the end.

    Args:
        codebook: The initial vectors, `(num_codes, code_dim)` or `(num_quantizers, num_codes, code_dim)`. Without it,
            `num_codes` and `code_dim` are required.
        num_codes: The number of codes of each quantizer.
        code_dim: The size of a vector.
        num_quantizers: The number of quantizers. If it is above 1, the last axis of the indices has one index for each.
        combine: How to combine the vectors of several quantizers: `"sum"`, `"concat"` or None, as above.
        trainable: Whether the codebook is trainable.
        invalid_index: The index that means that there is no code; None if no index has this meaning.
        out_of_range: The result for an index that is neither a code nor `invalid_index`. `"error"`: a ValueError, or
            NaN in a compiled program, which cannot raise one. `"clip"`: the vector of the nearest code. `"zero"`:
            zeros.
        codebook_initializer: Initializer of the codebook, if `codebook` is None.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        indices: Integers, `(batch, …)` or `(batch, …, num_quantizers)`.
        mask: A mask over leading axes of the indices, True for valid entries. Masked indices count as `invalid_index`.
            By default, the mask attached to the indices.

    Output: `(…, code_dim)`, `(…, num_quantizers * code_dim)` or `(…, num_quantizers, code_dim)`. Its mask is True where
    the input mask is True and at least one index is not `invalid_index`.

    Raises:
        ValueError: If an argument is invalid, the codebook's shape contradicts the other arguments, the indices are not
            integers, an index is out of range, or the last axis does not have size `num_quantizers`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import CodebookDecoder
        >>> layer = CodebookDecoder(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[1, 0, -1]]))))
        [[[0. 2.]
          [1. 0.]
          [0. 0.]]]
    """

    def __init__(
        self,
        codebook: Any = None,
        num_codes: int | None = None,
        code_dim: int | None = None,
        num_quantizers: int = 1,
        combine: Combine | None = "sum",
        trainable: bool = False,
        invalid_index: int | None = -1,
        out_of_range: OutOfRange = "error",
        codebook_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, **kwargs)
        initial = None if codebook is None else np.asarray(codebook, "float32")
        if initial is not None:
            num_codes, code_dim = _codebook_sizes(initial, num_codes, code_dim, num_quantizers)
        if num_codes is None or code_dim is None:
            raise ValueError(
                "CodebookDecoder: the codebook's shape is unknown; pass a codebook, or both num_codes and code_dim."
            )
        check_sizes("CodebookDecoder", num_codes=num_codes, code_dim=code_dim, num_quantizers=num_quantizers)
        check_choice("CodebookDecoder", "combine", combine, (None, *get_args(Combine)))
        check_choice("CodebookDecoder", "out_of_range", out_of_range, get_args(OutOfRange))
        if invalid_index is not None and not is_integer(invalid_index):
            raise ValueError(f"CodebookDecoder: invalid_index must be an integer or None (got {invalid_index!r}).")
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.num_quantizers = num_quantizers
        self.combine = combine
        self.invalid_index = invalid_index
        self.out_of_range = out_of_range
        self.codebook_initializer = keras.initializers.get(codebook_initializer)
        self._initial_codebook = initial
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the codebook."""
        if self.num_quantizers > 1 and (len(input_shape) < 2 or input_shape[-1] != self.num_quantizers):
            raise ValueError(
                f"CodebookDecoder: the last axis of the indices must have size num_quantizers={self.num_quantizers} "
                f"(got indices of shape {tuple(input_shape)}); pass one index for each quantizer."
            )
        quantizers = () if self.num_quantizers == 1 else (self.num_quantizers,)
        self.codebook = self.add_weight(
            name="codebook",
            shape=(*quantizers, self.num_codes, self.code_dim),
            initializer=self.codebook_initializer
            if self._initial_codebook is None
            else _constant_initializer(self._initial_codebook),
        )

    def call(self, indices: Any, mask: Any = None) -> Any:
        """Return the vectors of the indices."""
        indices = _as_integers(indices)
        present = has_vector = self._present(indices, mask)
        if self.out_of_range != "clip":
            has_vector = ops.logical_and(present, ops.logical_and(indices >= 0, indices < self.num_codes))
        vectors = self._look_up(ops.clip(indices, 0, self.num_codes - 1))
        # On torch, a product takes half the time of `where`.
        vectors = vectors * ops.expand_dims(ops.cast(has_vector, vectors.dtype), -1)
        if self.out_of_range == "error":
            wrong = ops.logical_and(present, ops.logical_not(has_vector))
            self._raise_if_any(wrong, indices)
            vectors = ops.where(ops.expand_dims(wrong, -1), np.nan, vectors)
        return self._combine_vectors(ops.cast(vectors, self.compute_dtype))

    def compute_mask(self, indices: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the outputs: True where there is a code."""
        if self.invalid_index is None and previous_mask is None:
            return None
        present = self._present(_as_integers(indices), previous_mask)
        present = present if self.num_quantizers == 1 else ops.any(present, axis=-1)
        return present if len(present.shape) > 1 else None

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        if self.num_quantizers == 1 or self.combine is None:
            return (*input_shape, self.code_dim)
        width = self.code_dim * (self.num_quantizers if self.combine == "concat" else 1)
        return (*input_shape[:-1], width)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, without the codebook, which is a weight."""
        plain = ("num_codes", "code_dim", "num_quantizers", "combine", "invalid_index", "out_of_range")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "codebook_initializer": keras.initializers.serialize(self.codebook_initializer),
        }

    def _present(self, indices: Any, mask: Any) -> Any:
        """Return where an index is unmasked and not `invalid_index`."""
        present = ops.ones_like(indices, "bool") if self.invalid_index is None else indices != self.invalid_index
        if mask is None:
            return present
        return ops.logical_and(present, broadcast_mask("CodebookDecoder", mask, indices))

    def _raise_if_any(self, wrong: Any, indices: Any) -> None:
        """Raise an error if an index is out of range. During tracing there are no values, so nothing is raised."""
        if backends.current().is_symbolic(wrong) or not bool(ops.any(wrong)):
            return
        every_index = ops.convert_to_numpy(indices)
        values = every_index[ops.convert_to_numpy(wrong)]
        raise ValueError(
            f"CodebookDecoder: index {values[0]} is out of range for {self.num_codes} codes ({values.size} of "
            f"{every_index.size} indices are out of range); pass indices from 0 to {self.num_codes - 1}, or set "
            "out_of_range to 'clip' or 'zero'."
        )

    def _look_up(self, indices: Any) -> Any:
        if self.num_quantizers == 1:
            return ops.take(self.codebook, indices, axis=0)
        rows = ops.reshape(self.codebook, (self.num_quantizers * self.num_codes, self.code_dim))
        offsets = ops.cast(self.num_codes * np.arange(self.num_quantizers), indices.dtype)
        return ops.take(rows, indices + offsets, axis=0)

    def _combine_vectors(self, vectors: Any) -> Any:
        if self.num_quantizers == 1 or self.combine is None:
            return vectors
        if self.combine == "sum":
            return ops.sum(vectors, axis=-2)
        *leading, _, _ = ops.shape(vectors)
        return ops.reshape(vectors, (*leading, self.num_quantizers * self.code_dim))


def _codebook_sizes(codebook: Any, num_codes: Any, code_dim: Any, num_quantizers: int) -> tuple[int, int]:
    wanted = (*(() if num_quantizers == 1 else (num_quantizers,)), num_codes, code_dim)
    fits = len(codebook.shape) == len(wanted) and all(
        want is None or have == want for have, want in zip(codebook.shape, wanted, strict=True)
    )
    if not fits:
        words = "(num_codes, code_dim)" if num_quantizers == 1 else "(num_quantizers, num_codes, code_dim)"
        raise ValueError(
            f"CodebookDecoder: codebook has shape {codebook.shape}, expected {words} with num_codes={num_codes}, "
            f"code_dim={code_dim} and num_quantizers={num_quantizers}; change the codebook or these arguments."
        )
    return codebook.shape[-2], codebook.shape[-1]


def _constant_initializer(codebook: Any) -> Any:
    return lambda shape, dtype=None: ops.convert_to_tensor(codebook, dtype)  # noqa: ARG005 - Keras passes a shape to every initializer


def _as_integers(indices: Any) -> Any:
    """Return the indices as int32, or as int64 if their dtype needs it."""
    if not isinstance(indices, keras.KerasTensor):
        indices = ops.convert_to_tensor(indices)
    dtype = keras.backend.standardize_dtype(indices.dtype)
    if "int" not in dtype:
        raise ValueError(
            f"CodebookDecoder: indices must have an integer dtype (got {dtype}); cast them to int32, or declare "
            'keras.Input(…, dtype="int32"). Float dtypes are not safe: float16 rounds 4097 to 4096.'
        )
    return indices if dtype == "int64" else ops.cast(indices, "int64" if dtype in ("uint32", "uint64") else "int32")


def reference(
    indices: Any,
    weights: Any,
    mask: Any = None,
    *,
    num_quantizers: int = 1,
    combine: Combine | None = "sum",
    invalid_index: int | None = -1,
    out_of_range: OutOfRange = "zero",
) -> Any:
    """Return the outputs in float64 NumPy. `weights` hold the codebook. Other indices give zeros or are clipped."""
    codebook, indices = np.asarray(weights[0], "float64"), np.asarray(indices)
    present = np.ones(indices.shape, bool) if invalid_index is None else indices != invalid_index
    if mask is not None:
        present = present & np.reshape(mask, np.shape(mask) + (1,) * (indices.ndim - np.ndim(mask)))
    num_codes = codebook.shape[-2]
    has_vector = present if out_of_range == "clip" else present & (indices >= 0) & (indices < num_codes)
    safe = np.clip(indices, 0, num_codes - 1)
    vectors = codebook[safe] if num_quantizers == 1 else codebook[np.arange(num_quantizers), safe]
    vectors = np.where(has_vector[..., None], vectors, 0)
    if num_quantizers == 1 or combine is None:
        return vectors
    return vectors.sum(-2) if combine == "sum" else vectors.reshape(*indices.shape[:-1], -1)


CASES = declared_cases(CodebookDecoder)

CustomDecoder = CodebookDecoder
"""The name that articles on custom Keras layers use."""

__all__ = ["CodebookDecoder", "CustomDecoder"]
