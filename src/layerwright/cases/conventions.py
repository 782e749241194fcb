"""Values for constructor arguments by conventional names: a small integer for `units`, a small layer for `layer`."""

import inspect
import re
from collections.abc import Callable
from typing import Any

CONVENTIONS: tuple[tuple[str, Callable[[], Any]], ...] = (
    (r"(num|n|number_of)_(attention_)?heads|heads", lambda: 2),
    (r"num_(kv|key_value)_heads|num_groups|groups|depth_multiplier|num_(layers|blocks)|n_layers|depth", lambda: 2),
    (r"(.*_)?(vocab|vocabulary)(_size)?_?size|input_dim|num_(embeddings|tokens|classes|codes|bins|buckets)", lambda: 8),
    (r"max_?(len|length|steps|position.*)|(seq|sequence|input|time)_?(len|length|steps)|timesteps", lambda: 12),
    (r"kernel_size|window(_size)?", lambda: 3),
    (r"name", lambda: "layer"),
    (r"batch_size", lambda: 4),
    (
        r"pool_size|block_size|upsampling|size|factor|(.*_)?levels?|(num_)?steps|order|degree|power|patch_size",
        lambda: 2,
    ),
    (r"strides?|dilation(_rate)?", lambda: 1),
    (r"(.*_)?axis", lambda: -1),
    (r"(.*_)?(rate|dropout|drop|prob|probability|p)", lambda: 0.3),
    (r"(.*_)?(epsilon|eps)", lambda: 1e-3),
    (r"(.*_)?initializer", lambda: "glorot_uniform"),
    (r"(.*_)?regularizer", lambda: "l2"),
    (r"(.*_)?constraint", lambda: "unit_norm"),
    (r"(.*_)?(activation|act|nonlinearity)", lambda: "tanh"),
    (r"padding", lambda: "same"),
    (r"data_format", lambda: "channels_last"),
    (r"cell|(.*_)?cell", lambda: _layers().SimpleRNNCell(4)),
    (r"layers|.*_layers|blocks|sublayers", lambda: [_layers().Dense(5), _layers().Dense(5)]),
    (r"layer|(.*_)?(layer|sublayer|block|module)|inner", lambda: _layers().Dense(5)),
    (r"vocabulary|vocab|tokens", lambda: ["a", "b", "c"]),
    (r"codebook|table|embeddings|(.*_)?(weights|matrix|array|centers|centroids|prototypes)", lambda: _array(8, 4)),
    (r"(.*_)?(function|func|fn|callable|op)", lambda: _ops().tanh),
    (r"(.*_)?(min|minimum|low|lower)(_value)?|(min|low|lower)_.*", lambda: -1.0),
    (r"(.*_)?(max|maximum|high|upper)(_value)?|(high|upper)_.*", lambda: 1.0),
    (r"(.*_)?(mean|offset|shift|mask_value)", lambda: 0.0),
    (r"(.*_)?(variance|std|stddev|sigma)", lambda: 1.0),
    (r"(.*_)?seed", lambda: 7),
    (r"(use|is|return|with|has|apply)_.*|.*_(last|first)|bidirectional|causal|keepdims", lambda: True),
    (r"(.*_)?(scale|alpha|beta|gamma|temperature|momentum|weight|coefficient|threshold|lam|lambda_?|tau)", lambda: 0.5),
    (r"rank|k", lambda: 2),
    (r"(num|n)_.*", lambda: 6),
    (
        r"units|filters|dim|d_model|d_.*|features|channels|width|.*_(dims?|size|units|features|channels|filters)"
        r"|(hidden|latent|embed|key|value|out|output|model|ff).*",
        lambda: 16,
    ),
)
"""Patterns for a whole argument name, first match wins; each construction makes a new value."""

ANNOTATIONS: dict[Any, Callable[[], Any]] = {
    int: lambda: 6,
    float: lambda: 0.5,
    bool: lambda: True,
    str: lambda: "same",
    "int": lambda: 6,
    "float": lambda: 0.5,
    "bool": lambda: True,
    "str": lambda: "same",
}

GUESSES: tuple[Callable[[], Any], ...] = (
    lambda: 6,
    lambda: 0.5,
    lambda: _layers().Dense(5),
    lambda: "tanh",
    lambda: (2, 2),
    lambda: [6, 6],
    lambda: _array(8, 4),
)
"""Values tried in turn for an argument that no convention covers."""


def values_for(name: str, parameter: inspect.Parameter | None) -> tuple[Callable[[], Any], ...]:
    """Return makers of values to try for a constructor argument, the most likely first."""
    for pattern, make in CONVENTIONS:
        if re.fullmatch(pattern, name.lower()):
            return (make,)
    annotated = ANNOTATIONS.get(parameter.annotation) if parameter is not None else None
    return (annotated,) if annotated is not None else GUESSES


def is_conventional(name: str) -> bool:
    """Whether the name alone suggests a value."""
    return any(re.fullmatch(pattern, name.lower()) for pattern, _ in CONVENTIONS)


def _layers() -> Any:
    import keras

    return keras.layers


def _ops() -> Any:
    import keras

    return keras.ops


def _array(rows: int, columns: int) -> Any:
    import numpy as np

    return np.linspace(-1.0, 1.0, rows * columns, dtype="float32").reshape(rows, columns)
