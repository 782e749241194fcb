"""Core layers and wrappers of other libraries' modules."""

from typing import Any

from layerwright.catalogue.keras._row import Row, row
from layerwright.core.case import InputSpec

STEPWISE = {"causal": True, "receptive_field": 1}
GENERATED = {"masking": "generated"}
TOKENS = InputSpec((None, None), "int32", 0, 7)
JAX_ONLY = "a function of JAX arrays runs on JAX and TensorFlow only"
TORCH_ONLY = "a torch module runs on torch only"


def rows() -> list[Row]:
    """Return the rows of this family."""
    return [
        row("Dense", (None, 5), units=3),
        row("Dense", (None, None, 5), units=3, activation="tanh", use_bias=False, traits=STEPWISE),
        row("Dense", (None, 5), units=3, kernel_regularizer="l2", kernel_constraint="max_norm"),
        row("Dense", (None, 5), units=3, lora_rank=2),
        row("EinsumDense", (None, 5), equation="ab,bc->ac", output_shape=3, bias_axes="c"),
        row("EinsumDense", (None, None, 5), equation="abc,cde->abde", output_shape=(None, 2, 3), traits=STEPWISE),
        row("EinsumDense", (None, 6, 5), equation="...x,xy->...y", output_shape=3, activation="tanh"),
        row("Embedding", TOKENS, input_dim=7, output_dim=3, traits=STEPWISE),
        row("Embedding", TOKENS, input_dim=7, output_dim=3, mask_zero=True, traits=STEPWISE | GENERATED),
        row("Embedding", TOKENS, input_dim=7, output_dim=3, lora_rank=2, traits=STEPWISE),
        row("ReversibleEmbedding", TOKENS, input_dim=7, output_dim=3, traits=STEPWISE),
        row("ReversibleEmbedding", (None, None, 3), input_dim=7, output_dim=3, call={"reverse": True}, traits=STEPWISE),
        row("ReversibleEmbedding", TOKENS, input_dim=7, output_dim=3, tie_weights=False, traits=STEPWISE),
        row("Identity", (None, None, 5), traits=STEPWISE),
        row("Lambda", (None, None, 5), function=_double, traits=STEPWISE),
        row("Lambda", (None, 5), function=_scale, arguments={"factor": 3.0}),
        row("Masking", (None, None, 5), mask_value=0.5, traits=STEPWISE | GENERATED | {"smooth": False}),
        row("JaxLayer", (None, 5), call_fn=_affine, init_fn=_affine_weights, without={"torch": JAX_ONLY}),
        row("TorchModuleWrapper", (None, 5), **_torch_module(), without={"tensorflow": TORCH_ONLY, "jax": TORCH_ONLY}),
    ]


def _double(x: Any) -> Any:
    return 2.0 * x


def _scale(x: Any, factor: float) -> Any:
    return factor * x


def _affine(params: Any, inputs: Any) -> Any:
    return inputs @ params["kernel"] + params["bias"]


def _affine_weights(rng: Any, inputs: Any) -> Any:
    import jax

    return {"kernel": jax.random.normal(rng, (inputs.shape[-1], 3)), "bias": jax.numpy.zeros(3)}


def _torch_module() -> dict[str, Any]:
    import keras

    if keras.backend.backend() != "torch":
        return {}
    import torch

    return {"module": torch.nn.Linear(5, 3), "output_shape": (None, 3)}
