"""The body of `call` and of the methods that it hands its inputs to: ranks, keys, types and sizes that it reads."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from layerwright.cases.evidence.kinds import Facts, Key, Known, Subject, TensorFacts, constant, name_of
from layerwright.cases.evidence.sublayers import made
from layerwright.cases.signatures import call_parameters

PLACE = 30

SAME_RANK = frozenset(
    {"cast", "relu", "tanh", "sigmoid", "softmax", "exp", "log", "abs", "sqrt", "square", "convert_to_tensor", "gelu"}
    | {"clip", "clip_by_value", "zeros_like", "ones_like", "stop_gradient", "identity", "dropout", "normalize"}
)
"""Functions that keep the shape of their first argument."""

TAKES_IDS = {
    "one_hot": 0,
    "take": 1,
    "gather": 1,
    "gather_nd": 1,
    "embedding_lookup": 1,
    "bincount": 0,
    **{f"{kind}_{how}": 1 for kind in ("segment", "unsorted_segment") for how in ("sum", "max", "min", "mean")},
}
"""Functions, and which of their arguments holds integers."""

IMAGES = frozenset(
    {"extract_patches", "resize", "max_pool2d", "conv2d", "depthwise_conv2d", "space_to_depth", "depth_to_space"}
    | {"rgb_to_grayscale", "rgb_to_hsv", "random_flip_left_right", "crop_to_bounding_box", "total_variation"}
)
"""Functions whose first argument is a batch of images."""

JOINS = frozenset({"concatenate", "concat", "stack", "add_n", "Concatenate"})
"""Functions that take a list of tensors."""

DEEPEST = 3


def evidence(subject: Subject) -> Iterator[Facts]:
    """Yield what `call` reads of its inputs."""
    call = subject.methods.get("call")
    if call is None:
        return
    parameters = list(call_parameters(subject.layer))
    if not parameters:
        return
    first = parameters[0]
    reader = Reader(subject, {name: (name,) for name in parameters})
    reader.keys |= {(name,): keys for name in parameters if (keys := _listed(call, name))}
    reader.read(call.body)
    keys = reader.keys.get((first,), ())
    tensors: dict[Key | None, TensorFacts] = {
        key: reader.facts[first, key] for key in keys if (first, key) in reader.facts
    }
    if not keys and (first,) in reader.facts:
        tensors[None] = reader.facts[(first,)]
    further = {name: reader.facts[(name,)] for name in parameters[1:] if (name,) in reader.facts}
    if keys or tensors or further:
        joined = keys == (0, 1) and _indices(call, first) == set()
        has_fixed_keys = not joined or (first,) in reader.unpacked
        yield Facts("the body of call()", keys, tensors, further, False, reader.batch, has_fixed_keys)


Place = tuple[Key, ...]
"""Which tensor: the name of a call argument, or that and a key."""


class Reader:
    """Follows call arguments through statements, and gathers what is read of them.

    Args:
        subject: The layer.
        places: Which local names hold which tensor.
        depth: How many methods were entered.
    """

    def __init__(self, subject: Subject, places: dict[str, Place], depth: int = 0) -> None:
        self.subject = subject
        self.places = dict(places)
        self.depth = depth
        self.batch = ""
        self.children = children(subject) if depth == 0 else {}
        self.parts: dict[str, Place] = {}
        self.columns: dict[tuple[Place, int], set[int]] = {}
        self.facts: dict[Place, TensorFacts] = {}
        self.keys: dict[Place, tuple[Key, ...]] = {}
        self.unpacked: set[Place] = set()

    def read(self, statements: list[ast.stmt]) -> None:
        """Read statements in order, those inside others too."""
        for statement in statements:
            self._expressions(statement)
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                self._assign(statement.targets[0], statement.value)
            for name in ("body", "orelse", "finalbody"):
                self.read(getattr(statement, name, []))

    def place(self, node: ast.AST) -> Place | None:
        """Return which call argument an expression is, or has the rank of."""
        if isinstance(node, ast.Name):
            return self.places.get(node.id)
        if isinstance(node, ast.Subscript) and isinstance(constant(node.slice), (int, str)):
            whole, key = self.place(node.value), constant(node.slice)
            if whole is not None and len(whole) == 1 and (isinstance(key, str) or whole in self.keys):
                return (*whole, key)
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in SAME_RANK:
            return self.place(node.args[0])
        return None

    def add(self, place: Place | None, **known: object) -> None:
        """Write down what is known of a tensor, if it is one."""
        if place is not None:
            facts = TensorFacts(**known)  # type: ignore[arg-type]
            self.facts[place] = self.facts.get(place, TensorFacts()).with_less_known(facts)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        place = self.place(value)
        if isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, place)
        elif isinstance(target, ast.Name) and place is not None:
            self.places[target.id] = place
        elif isinstance(target, ast.Name):
            self.places.pop(target.id, None)
            self._part(target.id, value)

    def _part(self, name: str, value: ast.expr) -> None:
        """Note that a name holds a slice of a tensor, such as `edges[:, 0]`: it has its dtype."""
        whole = self.place(value.value) if isinstance(value, ast.Subscript) else None
        if whole is None:
            self.parts.pop(name, None)
        else:
            self.parts[name] = whole

    def _source(self, node: ast.expr) -> Place | None:
        """Return which tensor an expression is, or is a slice of."""
        if isinstance(node, ast.Subscript):
            return self.place(node) or self.place(node.value)
        return self.place(node) or self.parts.get(name_of(node))

    def _unpack(self, targets: list[ast.expr], value: ast.expr, place: Place | None) -> None:
        starred = any(isinstance(target, ast.Starred) for target in targets)
        shaped = self._shape_of(value)
        if shaped is not None:
            self.add(shaped, least_rank=len(targets) - 1 if starred else 1, rank=None if starred else len(targets))
        elif place is not None and len(place) == 1 and not starred:
            self.keys[place] = tuple(range(len(targets)))
            self.unpacked.add(place)
            for index, target in enumerate(targets):
                if isinstance(target, ast.Name):
                    self.places[target.id] = (*place, index)
        elif isinstance(value, ast.Tuple) and len(value.elts) == len(targets):
            for target, one in zip(targets, value.elts, strict=True):
                self._assign(target, one)

    def _shape_of(self, node: ast.AST) -> Place | None:
        """Return which tensor's shape an expression is: `x.shape`, `ops.shape(x)`, `x.get_shape().as_list()`."""
        if isinstance(node, ast.Attribute) and node.attr == "shape":
            return self.place(node.value)
        if isinstance(node, ast.Call):
            if name_of(node.func) in ("shape", "int_shape") and node.args:
                return self.place(node.args[0])
            if isinstance(node.func, ast.Attribute) and node.func.attr == "get_shape":
                return self.place(node.func.value)
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("as_list",):
                return self._shape_of(node.func.value)
            if name_of(node.func) in ("tuple", "list", "unstack") and node.args:
                return self._shape_of(node.args[0])
        return None

    def _expressions(self, statement: ast.stmt) -> None:
        inner = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
        for node in [found for child in inner for found in ast.walk(child)]:
            if isinstance(node, ast.Subscript):
                self._subscript(node)
            elif isinstance(node, ast.Compare):
                self._compare(node)
            elif isinstance(node, ast.Call):
                self._called(node)

    def _subscript(self, node: ast.Subscript) -> None:
        shaped, index = self._shape_of(node.value), constant(node.slice)
        if shaped is not None and isinstance(index, int):
            self.add(shaped, least_rank=index + 1 if index >= 0 else -index)
            return
        place = self.place(node.value)
        if place is None:
            return
        if isinstance(index, str) and len(place) == 1:
            self.keys[place] = tuple(dict.fromkeys((*self.keys.get(place, ()), index)))
        elif isinstance(node.slice, ast.Tuple):
            parts = [part for part in node.slice.elts if not _is_none(part)]
            if not any(constant(part) is Ellipsis for part in parts):
                self.add(place, least_rank=len(parts))
                self._columns(place, parts)

    def _columns(self, place: Place, parts: list[ast.expr]) -> None:
        """Note the size of an axis of which two places are read, such as the two ends of an edge."""
        index = constant(parts[-1])
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            return
        read = self.columns.setdefault((place, len(parts) - 1), set())
        read.add(index)
        if read == set(range(len(read))) and len(read) > 1:
            self.facts[place] = replace(self.facts[place], sizes={len(parts) - 1: len(read)})

    def _compare(self, node: ast.Compare) -> None:
        """Read `len(x.shape) == 4` and `x.ndim != 3`: the rank that is asked for, where one only is."""
        left, right = node.left, constant(node.comparators[0])
        if len(node.ops) != 1 or not isinstance(right, int) or isinstance(right, bool):
            return
        place = None
        if isinstance(left, ast.Call) and name_of(left.func) == "len" and left.args:
            place = self._shape_of(left.args[0])
        elif isinstance(left, ast.Call) and name_of(left.func) in ("ndim", "rank") and left.args:
            place = self.place(left.args[0])
        elif isinstance(left, ast.Attribute) and left.attr in ("ndim", "rank"):
            place = self.place(left.value) or self._shape_of(left.value)
        if place is not None and isinstance(node.ops[0], (ast.NotEq, ast.Eq)):
            self.add(place, rank=right)

    def _called(self, node: ast.Call) -> None:
        name = name_of(node.func)
        if name in TAKES_IDS and len(node.args) > TAKES_IDS[name]:
            self.add(self._source(node.args[TAKES_IDS[name]]), dtype="int32")
        if name in IMAGES and node.args:
            self.add(self.place(node.args[0]), rank=4)
        if name in ("transpose", "permute", "permute_dimensions") and node.args:
            axes = _argument(node, 1, ("axes", "perm", "dims", "pattern"))
            if isinstance(axes, (tuple, list)):
                self.add(self.place(node.args[0]), rank=len(axes))
        if name == "einsum" and node.args and isinstance(constant(node.args[0]), str):
            self._einsum(constant(node.args[0]), node.args[1:])
        axis = _argument(node, 1, ("axis", "dim"))
        if isinstance(axis, int) and node.args and name not in ("expand_dims", "stack", "range", "concatenate"):
            self.add(self.place(node.args[0]), least_rank=axis + 1 if axis >= 0 else -axis)
        self._enter(node)
        self._sublayer(node)

    def _sublayer(self, node: ast.Call) -> None:
        """Add what a sublayer of the same module reads of the inputs that it is handed."""
        child = self.children.get(name_of(node.func))
        if child is None or not node.args:
            return
        given = node.args[0]
        if isinstance(given, (ast.List, ast.Tuple)):
            for number, element in enumerate(given.elts):
                self._add_all(self.place(element), child.tensors.get(number))
        elif self.place(given) is not None:
            place = self.place(given)
            assert place is not None
            if child.keys and len(place) == 1:
                self.keys.setdefault(place, child.keys)
            for key, facts in child.tensors.items():
                self._add_all(place if key is None else (*place, key), facts)
        for one in node.keywords:
            self._add_all(self.place(one.value), child.call.get(one.arg or ""))
        self.batch = self.batch or child.batch

    def _add_all(self, place: Place | None, facts: TensorFacts | None) -> None:
        if place is not None and facts is not None:
            self.facts[place] = self.facts.get(place, TensorFacts()).with_less_known(facts)

    def _einsum(self, equation: str, operands: list[ast.expr]) -> None:
        for letters, operand in zip(equation.replace(" ", "").split("->")[0].split(","), operands, strict=False):
            if "." not in letters:
                self.add(self.place(operand), rank=len(letters))

    def _enter(self, node: ast.Call) -> None:
        """Follow inputs that are handed to another method of the layer."""
        function = node.func
        if not (isinstance(function, ast.Attribute) and name_of(function.value) == "self") or self.depth == DEEPEST:
            return
        method = self.subject.methods.get(function.attr)
        if method is None or function.attr == "call":
            return
        names = [argument.arg for argument in method.args.args[1:]]
        given = {name: self.place(value) for name, value in zip(names, node.args, strict=False)}
        given |= {one.arg: self.place(one.value) for one in node.keywords if one.arg}
        places = {name: place for name, place in given.items() if place is not None}
        if not places:
            return
        inner = Reader(self.subject, places, self.depth + 1)
        inner.keys = self.keys
        inner.facts = self.facts
        inner.children = self.children
        inner.read(method.body)


def children(subject: Subject) -> dict[str, "Known"]:
    """Return what is known of the inputs of sublayers that the same module defines, by attribute and variable."""
    found: dict[str, Known] = {}
    for attribute, name in made(subject).items():
        known = subject.known_of(name)
        if known is not None:
            found[attribute] = known
    for method in subject.methods.values():
        for node in ast.walk(method):
            if isinstance(node, (ast.For, ast.comprehension)) and name_of(node.iter) in found:
                found[name_of(node.target)] = found[name_of(node.iter)]
    return found


def _listed(call: ast.FunctionDef, name: str) -> tuple[Key, ...]:
    """Return the places of a list of tensors, if `call` reads several places of an argument, or joins it."""
    indices = _indices(call, name)
    if any(_joins(node, name) for node in ast.walk(call)):
        return tuple(range(max(indices | {1}) + 1))
    return tuple(range(max(indices) + 1)) if len(indices) > 1 and min(indices) >= 0 else ()


def _indices(call: ast.FunctionDef, name: str) -> set[int]:
    found = [node for node in ast.walk(call) if isinstance(node, ast.Subscript) and name_of(node.value) == name]
    return {index for node in found if isinstance(index := constant(node.slice), int)}


def _joins(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Call) and name_of(node.func) in JOINS and bool(node.args) and name_of(node.args[0]) == name
    )


def _argument(node: ast.Call, place: int, names: tuple[str, ...]) -> object:
    """Return the literal value of an argument that is given by place or by one of several names."""
    named = next((one.value for one in node.keywords if one.arg in names), None)
    positional = node.args[place] if len(node.args) > place else None
    return constant(named if named is not None else positional)


def _is_none(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or name_of(node) == "newaxis"
