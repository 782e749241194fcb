"""LW601 policy-is-honoured."""

from collections.abc import Iterator

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.paths import attribute_path
from layerwright.trial.policies import LOW_PRECISION_POLICIES, Version, computes_in, version
from layerwright.trial.trial import Trial


@check("LW601", "policy-is-honoured", requires=("LW201",), models=True)
def policy_is_honoured(trial: Trial) -> Finding:
    """Under a dtype policy, variables have its variable dtype and outputs its compute dtype.

    What it proves:
        The layer works under mixed_float16, mixed_bfloat16 and float64. Its floating-point variables have the policy's
        variable dtype, and its floating-point outputs have the compute dtype.

    Why it matters:
        After one `cast(x, "float32")`, or one constant without a dtype, everything computes in float32. It takes twice
        the memory and runs at a fraction of the speed, although the program asks for mixed precision. Or the layer
        raises an error in the middle of another author's model.

    How it is tested:
        The policy is set globally while the layer is constructed, built and called through `__call__`, which casts its
        inputs. Layers among its constructor arguments are created under the policy too. The dtypes of its variables and
        outputs are read. float64 is left out where Keras's own operations do not keep it, as on torch and on JAX
        without x64. A dtype that this machine has no kernel for is left out as well.

    Exempt when:
        The check is skipped if the case sets a `dtype`, or if the layer has a policy of its own. Integer and boolean
        outputs are not checked.

    References:
        keras.io/api/mixed_precision, "Mixed precision policy API"; Micikevicius et al. 2018, "Mixed Precision
        Training", arXiv:1710.03740.
    """
    reasons, problems, honoured = [], [], []
    for policy in (*LOW_PRECISION_POLICIES, *(["float64"] if computes_in("float64") else [])):
        found = version(trial, policy)
        if isinstance(found, str):
            reasons.append(found)
            continue
        honoured.append(policy)
        problems += [f"under {policy}, {problem}" for problem in _wrong_dtypes(trial, found)]
    if problems:
        return failed(
            "; ".join(problems[:4]),
            "Create constants in the dtype of the tensors that they are combined with (`ops.zeros_like(x)`, "
            "`ops.cast(constant, x.dtype)`) or in `self.compute_dtype`. Cast back what must be computed in float32. "
            "Give `add_weight` no dtype.",
            problems=problems,
        )
    if not honoured:
        return inconclusive(reasons[0]) if "on this machine" in reasons[0] else skipped(reasons[0])
    return passed(policies=honoured)


def _wrong_dtypes(trial: Trial, found: Version) -> Iterator[str]:
    import keras

    layer = found.layer
    for variable in layer.variables:
        if "float" in str(variable.dtype) and variable.dtype != layer.variable_dtype:
            yield f"{attribute_path(layer, variable)} has dtype {variable.dtype} (expected {layer.variable_dtype})"
    outputs = found.call(trial.usual)
    for place, output in enumerate(outputs):
        dtype = keras.backend.standardize_dtype(output.dtype)
        if "float" in dtype and dtype != layer.compute_dtype:
            name = f"output {place}" if len(outputs) > 1 else "the output"
            yield f"{name} has dtype {dtype} (expected {layer.compute_dtype})"


def bad() -> Case:
    return _centring_case(casts_back=False)


def good() -> Case:
    return _centring_case(casts_back=True)


def _centring_case(*, casts_back: bool) -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def call(self, inputs):
            mean = keras.ops.mean(keras.ops.cast(inputs, "float32"), axis=-1, keepdims=True)
            return inputs - (keras.ops.cast(mean, self.compute_dtype) if casts_back else mean)

    return Case(Scaled, inputs=(None, 5))
