"""Custom layers of reference quality: formula, source, mask and streaming stated, a NumPy reference beside each.

Each name in brackets is the same class under the name that articles on custom Keras layers use.

* `BatchDelta` (`BatchChangeTracker`): what changed since the batch before.
* `CausalConv1D` (`ThreePointDependency`): a convolution over time that sees no later step, whole or step by step.
* `ClippedDense` (`ClippingWeightedSum`): a dense layer on clipped inputs, its gradient the same everywhere.
* `CodebookDecoder` (`CustomDecoder`): from code indices back to vectors, of one quantiser or several.
* `FeatureScale` (`WeightedSum`): one learned factor for each feature, and perhaps the sum of what it weighs.
* `IntermediateOutput` (`IntermediateOutputLayer`): a layer with a loss on what it returns.
* `Linear` (`CustomLinear`): a matrix product and nothing else, unless asked. `CustomInitLayer` has other defaults.
* `MaskedAverage`: the average over time of what a mask leaves.
* `SampleMap`: one function of a sample, applied to each. `BatchAwareSquare` is that of `ops.square`.
* `ScaledExponential`: an exponential with learned rates that neither overflows nor loses its gradient.
* `SelfAttention` (`CustomAttention`): every step weighs the others, with masks that hold, whole or step by step.
* `SineDense` (`CustomNonLinear`): the dense layer with a sine that implicit neural representations are made of.

`tap` makes a model that returns what layers inside a model return.
"""

from layerwright.layers._tap import tap as tap
from layerwright.layers.batch_delta import BatchDelta as BatchDelta
from layerwright.layers.causal_conv1d import CausalConv1D as CausalConv1D
from layerwright.layers.clipped_dense import ClippedDense as ClippedDense
from layerwright.layers.codebook_decoder import CodebookDecoder as CodebookDecoder
from layerwright.layers.feature_scale import FeatureScale as FeatureScale
from layerwright.layers.intermediate_output import IntermediateOutput as IntermediateOutput
from layerwright.layers.linear import CustomInitLayer as CustomInitLayer
from layerwright.layers.linear import Linear as Linear
from layerwright.layers.masked_average import MaskedAverage as MaskedAverage
from layerwright.layers.sample_map import BatchAwareSquare as BatchAwareSquare
from layerwright.layers.sample_map import SampleMap as SampleMap
from layerwright.layers.scaled_exponential import ScaledExponential as ScaledExponential
from layerwright.layers.self_attention import SelfAttention as SelfAttention
from layerwright.layers.sine_dense import SineDense as SineDense

BatchChangeTracker = BatchDelta
ClippingWeightedSum = ClippedDense
CustomAttention = SelfAttention
CustomDecoder = CodebookDecoder
CustomLinear = Linear
CustomNonLinear = SineDense
IntermediateOutputLayer = IntermediateOutput
ThreePointDependency = CausalConv1D
WeightedSum = FeatureScale
