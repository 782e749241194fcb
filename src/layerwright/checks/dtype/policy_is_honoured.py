"""LW601."""

from collections.abc import Iterator

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.policies import LOW_PRECISION_POLICIES, Version, computes_in, version
from layerwright.trial.trial import Trial


@check("LW601", "policy-is-honoured", requires=("LW201",))
def policy_is_honoured(trial: Trial) -> Finding:
    """Under a dtype policy, variables have its variable dtype and outputs its compute dtype.

    What it proves:
        Under mixed_float16, mixed_bfloat16 and float64 the layer works; its floating-point variables are of the
        policy's variable dtype and its floating-point outputs of the compute dtype.

    Why it matters:
        One `cast(x, "float32")`, one constant made without a dtype, and everything after it computes in float32, at
        twice the memory and a fraction of the speed, while the program says mixed precision. Or the layer raises, in
        the middle of someone else's model.

    How it is tested:
        The policy is set globally while the layer is constructed, built and called through `__call__`, which casts
        its inputs. Layers among its constructor arguments are made under the policy too. Dtypes are read off the
        variables and the outputs. float64 is left out where Keras's own operations do not keep it, as on JAX without
        x64 and on torch; so is a dtype that this machine has no kernel for.

    Exempt when:
        The case names a `dtype`, or the layer has a policy of its own: both are skipped. An output of integers or
        booleans is not judged.

    References:
        keras.io/api/mixed_precision, "Mixed precision policy API"; Micikevicius et al. 2018, "Mixed Precision
        Training", arXiv:1710.03740.
    """
    unheld, problems, held = [], [], []
    for policy in (*LOW_PRECISION_POLICIES, *(["float64"] if computes_in("float64") else [])):
        found = version(trial, policy)
        if isinstance(found, str):
            unheld.append(found)
            continue
        held.append(policy)
        problems += [f"under {policy}, {said}" for said in _problems(trial, found)]
    if problems:
        return failed(
            "; ".join(problems[:4]),
            "Make constants in the dtype of the tensors they meet (ops.zeros_like, ops.cast(x, inputs.dtype) or "
            "self.compute_dtype), cast back what must be computed in float32, and give add_weight no dtype.",
            problems=problems,
        )
    if not held:
        return inconclusive(unheld[0]) if "no kernel" in unheld[0] else skipped(unheld[0])
    return passed(policies=held)


def _problems(trial: Trial, found: Version) -> Iterator[str]:
    import keras

    layer = found.layer
    for variable in layer.variables:
        if "float" in str(variable.dtype) and variable.dtype != layer.variable_dtype:
            yield f"{variable.path} is {variable.dtype}, expected {layer.variable_dtype}"
    outputs = found.call(trial.usual)
    for place, output in enumerate(outputs):
        dtype = keras.backend.standardize_dtype(output.dtype)
        if "float" in dtype and dtype != layer.compute_dtype:
            name = f"output {place}" if len(outputs) > 1 else "the output"
            yield f"{name} is {dtype}, expected {layer.compute_dtype}"


def bad() -> Case:
    return _scaled(casts_back=False)


def good() -> Case:
    return _scaled(casts_back=True)


def _scaled(*, casts_back: bool) -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def call(self, inputs):
            mean = keras.ops.mean(keras.ops.cast(inputs, "float32"), axis=-1, keepdims=True)
            return inputs - (keras.ops.cast(mean, self.compute_dtype) if casts_back else mean)

    return Case(Scaled, inputs=(None, 5))
