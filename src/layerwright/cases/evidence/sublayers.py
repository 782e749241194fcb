"""The sublayers that `call` hands an argument to: a `Conv2D` takes images, an `Embedding` takes integers."""

import ast
from collections.abc import Iterator

from layerwright.cases.evidence.kinds import Facts, Key, Subject, TensorFacts, constant, name_of
from layerwright.cases.signatures import call_parameters

PLACE = 50

IMAGES = TensorFacts(rank=4, dtype="float32")
SEQUENCES = TensorFacts(rank=3, dtype="float32")
VOLUMES = TensorFacts(rank=5, dtype="float32")
IDS = TensorFacts(dtype="int32")
NUMBERS = TensorFacts(dtype="float32")

TAKES = (
    (("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling2D", "AveragePooling2D"), IMAGES),
    (("MaxPool2D", "AvgPool2D", "UpSampling2D", "ZeroPadding2D", "GlobalAveragePooling2D", "Cropping2D"), IMAGES),
    (("GlobalMaxPooling2D", "Resizing", "RandomCrop", "RandomFlip", "CenterCrop", "ConvLSTM1D"), IMAGES),
    (("Conv1D", "SeparableConv1D", "DepthwiseConv1D", "LSTM", "GRU", "SimpleRNN", "Bidirectional"), SEQUENCES),
    (("MultiHeadAttention", "GroupQueryAttention", "GlobalAveragePooling1D", "MaxPooling1D", "RNN"), SEQUENCES),
    (("Conv1DTranspose", "GlobalMaxPooling1D", "AveragePooling1D", "TimeDistributed", "Attention"), SEQUENCES),
    (("Conv3D", "MaxPooling3D", "AveragePooling3D", "Conv3DTranspose", "GlobalAveragePooling3D"), VOLUMES),
    (("ConvLSTM2D",), VOLUMES),
    (("Embedding", "IntegerLookup", "CategoryEncoding"), IDS),
    (("StringLookup", "TextVectorization"), TensorFacts(dtype="string")),
    (("Dense", "EinsumDense", "LayerNormalization", "BatchNormalization", "GroupNormalization"), NUMBERS),
)
SAME_RANK = frozenset(
    {"LayerNormalization", "BatchNormalization", "GroupNormalization", "Dropout", "Activation", "ReLU", "Rescaling"}
    | {"SpatialDropout1D", "Dense", "GaussianNoise", "UnitNormalization"}
)


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield what the first sublayer takes that each call argument is handed to."""
    classes = made(subject)
    call = subject.methods.get("call")
    if call is None or not classes:
        return
    names = list(call_parameters(subject.layer))
    known = {name: _taken(call, name, classes) for name in names}
    found = {name: facts for name, facts in known.items() if facts is not None}
    if names and names[0] in found:
        key: Key | None = None
        yield Facts("the first sublayer of call()", tensors={key: found.pop(names[0])})
    if found:
        yield Facts("the sublayers of call()", call=found)


def made(subject: Subject) -> dict[str, str]:
    """Return the class of each sublayer that a method assigns, by attribute; of a list or Sequential, of its first."""
    found = {}
    for method in subject.methods.values():
        for node in ast.walk(method):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                found[node.targets[0].attr] = _class_of(node.value)
    return {attribute: name for attribute, name in found.items() if name}


def _class_of(value: ast.expr) -> str:
    if isinstance(value, (ast.List, ast.ListComp)):
        parts = [value.elt] if isinstance(value, ast.ListComp) else value.elts
        return _class_of(parts[0]) if parts else ""
    if not isinstance(value, ast.Call):
        return ""
    name = name_of(value.func)
    return _class_of(value.args[0]) if name == "Sequential" and value.args else name


def _taken(call: ast.FunctionDef, argument: str, made: dict[str, str]) -> TensorFacts | None:
    """Return what the first sublayer takes that is called on an argument, or on what keeps its rank."""
    names = {argument}
    found: TensorFacts | None = None
    for statement in [node for node in ast.walk(call) if isinstance(node, (ast.Assign, ast.Return, ast.Expr))]:
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call) or not node.args or name_of(node.args[0]) not in names:
                continue
            kind = _kind(node.func, made)
            for classes, facts in TAKES:
                if kind in classes:
                    found = facts if found is None else found.with_less_known(facts)
            if found is not None and found.rank is not None:
                return found
            if kind in SAME_RANK and isinstance(statement, ast.Assign):
                names |= {name_of(target) for target in statement.targets}
        names -= _rebound(statement, made)
    return found


def _rebound(statement: ast.AST, made: dict[str, str]) -> set[str]:
    """Return the names that a statement gives to what has perhaps another rank."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return set()
    keeps_rank = _kind(statement.value.func, made) in SAME_RANK
    return set() if keeps_rank else {name_of(target) for target in statement.targets}


def _kind(function: ast.expr, made: dict[str, str]) -> str:
    """Return the class of the sublayer that an expression calls: `self.conv`, `self.convs[0]`, `Conv2D(8, 3)`."""
    if isinstance(function, ast.Call):
        return name_of(function.func)
    if isinstance(function, ast.Subscript) and isinstance(constant(function.slice), int):
        function = function.value
    return made.get(name_of(function), "")
