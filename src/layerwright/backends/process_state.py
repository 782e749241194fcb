"""Settings of this process that code can change by being imported: of Keras, of the frameworks and of NumPy."""

import sys
from collections.abc import Callable
from typing import Any

Setting = tuple[str, Callable[[], Any], Callable[[Any], object]]
"""What a setting is called, how it is read, and how it is set."""


def settings() -> list[Setting]:
    """Return the settings of Keras and of what else has been imported."""
    return [*_of_keras(), *_of_torch(), *_of_tensorflow(), *_of_jax(), *_of_numpy()]


def _of_keras() -> list[Setting]:
    import keras

    config = keras.config
    return [
        ("Keras's global dtype policy", lambda: config.dtype_policy().name, config.set_dtype_policy),
        ("Keras's floatx", config.floatx, config.set_floatx),
        ("Keras's epsilon", config.epsilon, config.set_epsilon),
        ("Keras's image data format", config.image_data_format, config.set_image_data_format),
    ]


def _of_torch() -> list[Setting]:
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "set_grad_enabled"):
        return []
    return [
        ("torch's autograd (torch.set_grad_enabled)", torch.is_grad_enabled, torch.set_grad_enabled),
        ("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        (
            "torch's deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
        ),
    ]


def _of_tensorflow() -> list[Setting]:
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None or not hasattr(tensorflow, "config"):
        return []
    config = tensorflow.config
    return [
        ("TensorFlow's eager execution of tf.function", config.functions_run_eagerly, config.run_functions_eagerly),
    ]


def _of_jax() -> list[Setting]:
    jax: Any = sys.modules.get("jax")
    if jax is None or not hasattr(jax, "config"):
        return []

    def setting(name: str) -> Setting:
        return f"JAX's {name}", lambda: getattr(jax.config, name), lambda value: jax.config.update(name, value)

    return [
        setting(name) for name in ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_numpy_rank_promotion")
    ]


def _of_numpy() -> list[Setting]:
    import numpy as np

    def put_back(value: dict[str, Any]) -> None:
        np.seterr(**value)

    return [("NumPy's handling of floating-point errors", np.geterr, put_back)]
