"""`CodebookDecoder`: from code indices back to vectors, of one quantiser or several."""

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
    """Look up the vectors that code indices stand for.

        y = C[i]                              one quantiser, (…) to (…, code_dim)
        y = Σ_q C[q, i[…, q]]                 num_quantizers > 1, combine="sum": residual quantisation
        y = C[0, i[…, 0]] ‖ C[1, i[…, 1]] …   combine="concat": product quantisation
        y[…, q, :] = C[q, i[…, q]]            combine=None

    (van den Oord, Vinyals, Kavukcuoglu 2017, VQ-VAE, arXiv:1711.00937; Zeghidour et al. 2021, SoundStream,
    arXiv:2107.03312; Jégou, Douze, Schmid 2011, product quantisation, IEEE TPAMI 33(1).)

    `invalid_index` stands for no code: it gives zeros, and the output carries a mask that leaves it out. The codebook
    is a weight: it is saved with the weights, not in the config. It is read by a gather, whose cost does not grow with
    the number of codes.

    The naive version multiplies a one-hot matrix, or takes indices as floats, which half precision rounds from 2049 on;
    and what an index that is out of range gives differs between backends: the last vector, NaN, zeros or an error, and
    for negative ones the codebook from its end.

    Args:
        codebook: The vectors to start from, `(num_codes, code_dim)` or `(num_quantizers, num_codes, code_dim)`. Without
            it, `num_codes` and `code_dim` say the shape.
        num_codes: The number of codes of each quantiser.
        code_dim: The size of a vector.
        num_quantizers: The number of quantisers. If it is above 1 the last axis of the indices is theirs.
        combine: What is made of their vectors: `"sum"`, `"concat"` or None; see above.
        trainable: Whether the codebook is trained.
        invalid_index: The index that stands for no code; None if there is none.
        out_of_range: What an index that is neither a code nor `invalid_index` gives. `"error"`: a ValueError; NaN in a
            compiled program, which cannot raise one. `"clip"`: the nearest code's vector. `"zero"`: zeros.
        codebook_initializer: Initialiser of a codebook that is not given.
        **kwargs: Those of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        indices: Whole numbers, `(batch, …)` or `(batch, …, num_quantizers)`.
        mask: As long as the indices' leading axes, true where one counts; others are taken as `invalid_index`. By
            default the mask that travels with the indices.

    Output: `(…, code_dim)`, `(…, num_quantizers * code_dim)` or `(…, num_quantizers, code_dim)`. Its mask is true where
    the mask of the indices is and at least one index is not `invalid_index`.

    Raises:
        ValueError: If an argument is not one of those above, the codebook's shape is not the one said, indices are not
            whole numbers or out of range, or there are not `num_quantizers` of them.

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
        given = None if codebook is None else np.asarray(codebook, "float32")
        if given is not None:
            num_codes, code_dim = _sizes(given, num_codes, code_dim, num_quantizers)
        if num_codes is None or code_dim is None:
            raise ValueError("CodebookDecoder: pass a codebook, or both num_codes and code_dim.")
        check_sizes("CodebookDecoder", num_codes=num_codes, code_dim=code_dim, num_quantizers=num_quantizers)
        check_choice("CodebookDecoder", "combine", combine, (None, *get_args(Combine)))
        check_choice("CodebookDecoder", "out_of_range", out_of_range, get_args(OutOfRange))
        if invalid_index is not None and not is_integer(invalid_index):
            raise ValueError(f"CodebookDecoder: invalid_index must be a whole number or None (got {invalid_index!r}).")
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.num_quantizers = num_quantizers
        self.combine = combine
        self.invalid_index = invalid_index
        self.out_of_range = out_of_range
        self.codebook_initializer = keras.initializers.get(codebook_initializer)
        self._given = given
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the codebook."""
        if self.num_quantizers > 1 and (len(input_shape) < 2 or input_shape[-1] != self.num_quantizers):
            raise ValueError(
                f"CodebookDecoder: the last axis of the indices must have size num_quantizers={self.num_quantizers} "
                f"(got indices of shape {tuple(input_shape)})."
            )
        quantizers = () if self.num_quantizers == 1 else (self.num_quantizers,)
        self.codebook = self.add_weight(
            name="codebook",
            shape=(*quantizers, self.num_codes, self.code_dim),
            initializer=self.codebook_initializer if self._given is None else _start(self._given),
        )

    def call(self, indices: Any, mask: Any = None) -> Any:
        """Return the vectors that the indices stand for."""
        indices = _whole(indices)
        known = filled = self._known(indices, mask)
        if self.out_of_range != "clip":
            filled = ops.logical_and(known, ops.logical_and(indices >= 0, indices < self.num_codes))
        vectors = self._looked_up(ops.clip(indices, 0, self.num_codes - 1))
        vectors = vectors * ops.expand_dims(ops.cast(filled, vectors.dtype), -1)  # on torch half the time of `where`
        if self.out_of_range == "error":
            wrong = ops.logical_and(known, ops.logical_not(filled))
            self._refuse(indices, wrong)
            vectors = ops.where(ops.expand_dims(wrong, -1), np.nan, vectors)
        return self._combined(ops.cast(vectors, self.compute_dtype))

    def compute_mask(self, indices: Any, previous_mask: Any = None) -> Any:
        """Return the mask: true where there is a code."""
        if self.invalid_index is None and previous_mask is None:
            return None
        known = self._known(_whole(indices), previous_mask)
        known = known if self.num_quantizers == 1 else ops.any(known, axis=-1)
        return known if len(known.shape) > 1 else None

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the vectors."""
        if self.num_quantizers == 1 or self.combine is None:
            return (*input_shape, self.code_dim)
        width = self.code_dim * (self.num_quantizers if self.combine == "concat" else 1)
        return (*input_shape[:-1], width)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the codebook's values are a weight."""
        plain = ("num_codes", "code_dim", "num_quantizers", "combine", "invalid_index", "out_of_range")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "codebook_initializer": keras.initializers.serialize(self.codebook_initializer),
        }

    def _known(self, indices: Any, mask: Any) -> Any:
        """Return where there is an index that the mask does not leave out."""
        known = ops.ones_like(indices, "bool") if self.invalid_index is None else indices != self.invalid_index
        if mask is None:
            return known
        return ops.logical_and(known, broadcast_mask("CodebookDecoder", mask, indices))

    def _refuse(self, indices: Any, wrong: Any) -> None:
        """Raise for an index that is out of range, where values can be looked at."""
        if backends.current().is_symbolic(wrong) or not bool(ops.any(wrong)):
            return
        values = ops.convert_to_numpy(indices)[ops.convert_to_numpy(wrong)]
        raise ValueError(
            f"CodebookDecoder: index {values[0]} is out of range for {self.num_codes} codes ({values.size} such "
            f"indices); pass indices in [0, {self.num_codes}), or out_of_range='clip' or 'zero'."
        )

    def _looked_up(self, indices: Any) -> Any:
        if self.num_quantizers == 1:
            return ops.take(self.codebook, indices, axis=0)
        rows = ops.reshape(self.codebook, (self.num_quantizers * self.num_codes, self.code_dim))
        first = ops.cast(self.num_codes * np.arange(self.num_quantizers), indices.dtype)
        return ops.take(rows, indices + first, axis=0)

    def _combined(self, vectors: Any) -> Any:
        if self.num_quantizers == 1 or self.combine is None:
            return vectors
        if self.combine == "sum":
            return ops.sum(vectors, axis=-2)
        *leading, _, _ = ops.shape(vectors)
        return ops.reshape(vectors, (*leading, self.num_quantizers * self.code_dim))


def _sizes(codebook: Any, num_codes: Any, code_dim: Any, num_quantizers: int) -> tuple[int, int]:
    wanted = (*(() if num_quantizers == 1 else (num_quantizers,)), num_codes, code_dim)
    fits = len(codebook.shape) == len(wanted) and all(
        want is None or have == want for have, want in zip(codebook.shape, wanted, strict=True)
    )
    if not fits:
        words = "(num_codes, code_dim)" if num_quantizers == 1 else "(num_quantizers, num_codes, code_dim)"
        raise ValueError(
            f"CodebookDecoder: codebook has shape {codebook.shape}, expected {words} with num_codes={num_codes}, "
            f"code_dim={code_dim} and num_quantizers={num_quantizers}."
        )
    return codebook.shape[-2], codebook.shape[-1]


def _start(codebook: Any) -> Any:
    return lambda shape, dtype=None: ops.convert_to_tensor(codebook, dtype)  # noqa: ARG005 - as Keras calls initialisers


def _whole(indices: Any) -> Any:
    """Return the indices as int32, or int64 if they come so."""
    if not isinstance(indices, keras.KerasTensor):
        indices = ops.convert_to_tensor(indices)
    dtype = keras.backend.standardize_dtype(indices.dtype)
    if "int" not in dtype:
        raise ValueError(
            f"CodebookDecoder: indices must be whole numbers (got {dtype}); half precision cannot tell 4096 from 4097. "
            'Cast them before, or declare keras.Input(…, dtype="int32").'
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
    """The same in float64 NumPy; `weights` are the codebook. What is out of range gives zeros, unless clipped."""
    codebook, indices = np.asarray(weights[0], "float64"), np.asarray(indices)
    known = np.ones(indices.shape, bool) if invalid_index is None else indices != invalid_index
    if mask is not None:
        known = known & np.reshape(mask, np.shape(mask) + (1,) * (indices.ndim - np.ndim(mask)))
    num_codes = codebook.shape[-2]
    filled = known if out_of_range == "clip" else known & (indices >= 0) & (indices < num_codes)
    safe = np.clip(indices, 0, num_codes - 1)
    vectors = codebook[safe] if num_quantizers == 1 else codebook[np.arange(num_quantizers), safe]
    vectors = np.where(filled[..., None], vectors, 0)
    if num_quantizers == 1 or combine is None:
        return vectors
    return vectors.sum(-2) if combine == "sum" else vectors.reshape(*indices.shape[:-1], -1)


CASES = declared_cases(CodebookDecoder)
