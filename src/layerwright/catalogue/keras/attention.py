"""Attention."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

QUERY = InputSpec((None, 6, 8))
VALUE = InputSpec((None, 5, 8))
FREE = InputSpec((None, None, 8))
MASK = InputSpec((None, 5), "bool")
RANDOM: dict[str, Any] = {"random": True}
CAUSAL = {"causal": True}


def rows() -> list[Row]:
    """Return the rows of this family."""
    heads: dict[str, Any] = {"num_heads": 2, "key_dim": 3}
    groups: dict[str, Any] = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
    return [
        row("AdditiveAttention", [QUERY, VALUE]),
        row("AdditiveAttention", [QUERY, VALUE], use_scale=False, dropout=0.5, traits=RANDOM),
        row("Attention", [QUERY, VALUE]),
        row("Attention", [FREE, FREE], call={"use_causal_mask": True}, traits=CAUSAL),
        row("Attention", [QUERY, VALUE, VALUE], use_scale=True, score_mode="concat", dropout=0.5, traits=RANDOM),
        row("Attention", [QUERY, VALUE], call={"mask": [InputSpec((None, 6), "bool"), MASK]}),
        row("MultiHeadAttention", QUERY, call={"value": VALUE}, **heads),
        row("MultiHeadAttention", FREE, call={"value": FREE, "use_causal_mask": True}, traits=CAUSAL, **heads),
        row("MultiHeadAttention", QUERY, call={"value": VALUE, "value_mask": MASK}, value_dim=4, **heads),
        row("MultiHeadAttention", QUERY, call={"value": VALUE}, dropout=0.5, traits=RANDOM, **heads),
        row(
            "MultiHeadAttention",
            (None, 3, 6, 8),
            call={"value": InputSpec((None, 3, 5, 8))},
            attention_axes=(2,),
            output_shape=7,
            use_bias=False,
            traits={"time_axis": 2},
            **heads,
        ),
        row("GroupQueryAttention", QUERY, call={"value": VALUE}, **groups),
        row("GroupQueryAttention", FREE, call={"value": FREE, "use_causal_mask": True}, traits=CAUSAL, **groups),
        row("GroupQueryAttention", QUERY, call={"value": VALUE}, dropout=0.5, use_bias=False, traits=RANDOM, **groups),
    ]
