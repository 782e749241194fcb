"""Custom layers of reference quality. Each states its formula, its source and its use of masks.

Each file also holds a float64 NumPy reference of its layer. A name in brackets is the same class under the name that
articles on custom Keras layers use.

* `BatchDelta` (`BatchChangeTracker`): the difference between each batch and the previous batch.
* `CausalConv1D` (`ThreePointDependency`): a causal convolution over time, with masks and streaming.
* `ClippedDense` (`ClippingWeightedSum`): a dense layer with clipped inputs, and the same gradient on every backend.
* `CodebookDecoder` (`CustomDecoder`): converts code indices to vectors, for one or several quantizers.
* `FeatureScale` (`WeightedSum`): multiplies each feature by a learned factor, optionally followed by a sum or mean.
* `IntermediateOutput` (`IntermediateOutputLayer`): wraps a layer and adds a loss on its outputs.
* `Linear` (`CustomLinear`): a dense layer without bias or activation by default. `CustomInitLayer` has other defaults.
* `MaskedAverage`: the average over the unmasked time steps.
* `SampleMap`: applies a function of one sample to each sample. `BatchAwareSquare` is `SampleMap` of `ops.square`.
* `ScaledExponential`: an exponential with learned rates that cannot overflow.
* `SelfAttention` (`CustomAttention`): multi-head self-attention, with correct masks and streaming.
* `SineDense` (`CustomNonLinear`): a dense layer with a sine activation, for implicit neural representations.

`tap` creates a model that returns the outputs of layers inside a model.
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
