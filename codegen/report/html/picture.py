"""The network as a picture: a chain of feature maps, each a box, with the layers and bits between them."""

from collections.abc import Iterator, Sequence
from math import sqrt

from codegen.report.schema import Layer, Report

from .markup import Markup, classes, element, shape
from .pace import slowest

__all__ = ["chain"]

_WIDTH, _HEIGHT, _MIDDLE = 160, 106, 66
_EDGE = 52  # for the arrow, and the bits above it
_LEAST, _MOST, _UNIT = 5, 74, 12  # pixels of a side: at least, at most, and at most for each unit
_SLANT = 0.36


def chain(report: Report) -> Markup:
    """The input, the result of every layer, and the class if there is one, as items of a list."""
    layers, argmax = report.layers, report.argmax
    sizes = [layers[0].shape[0], *(layer.shape[1] for layer in layers)]
    units = [min(_UNIT, _MOST / sqrt(max(axis))) for axis in zip(*sizes, strict=True)]

    def item(size: Sequence[int], bits: tuple[int | None, int | None], name: str, *facts: str) -> Markup:
        sides = [max(_LEAST, unit * sqrt(count)) for unit, count in zip(units, size, strict=True)]
        return _item(_drawing(sides, bits), name, facts, name in slowest(report))

    items = [item(sizes[0], (None, layers[0].bits.input), "input", shape(sizes[0]))]
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1 and argmax is None
        bits = layer.bits.input, None if last else layer.bits.output
        items.append(item(sizes[index + 1], bits, layer.name, *_facts(layer)))
    if argmax is not None:
        bits = layers[-1].bits.output, None
        items.append(item([1, 1, 1], bits, argmax, f"class, one of {sizes[-1][2]:,}"))
    return element("ol", *items, class_="chain")


def _item(drawing: Markup, name: str, facts: Sequence[str], slow: bool) -> Markup:
    lines = [element("span", fact) for fact in facts]
    if slow:
        lines.append(element("span", "sets the pace", class_="mark"))
    return element("li", drawing, element("b", name), *lines, class_=classes(slow=slow))


def _facts(layer: Layer) -> Iterator[str]:
    (rows, columns, _), result = layer.shape
    kernel, stride, weights = layer.kernel, layer.stride, layer.bits.weights
    yield shape(result)
    if weights is not None and kernel == (rows, columns):
        yield "fully connected"
    else:
        kind = "max pool" if weights is None else "conv"
        yield f"{kind} {shape(kernel)}" + (f", stride {_short(stride)}" if stride != (1, 1) else "")
    if weights is not None:
        yield f"{weights}-bit weights"


def _short(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else shape(pair)


def _drawing(sides: list[float], bits: tuple[int | None, int | None]) -> Markup:
    """A box, its height the rows, its depth the columns, its width the channels; before it an arrow with the
    bits of what comes in, behind it a line to the next. ``bits`` are ``None`` where nothing comes or goes."""
    height, depth, width = sides
    slant = _SLANT * depth
    left = _EDGE + (_WIDTH - _EDGE - width - slant) / 2
    right, top, bottom = left + width, _MIDDLE - height / 2, _MIDDLE + height / 2
    faces = {
        "front": [(left, top), (right, top), (right, bottom), (left, bottom)],
        "top": [(left, top), (left + slant, top - slant), (right + slant, top - slant), (right, top)],
        "side": [
            (right, top),
            (right + slant, top - slant),
            (right + slant, bottom - slant),
            (right, bottom),
        ],
    }
    edges = [] if bits[1] is None else [_line(right, _WIDTH)]
    if bits[0] is not None:
        head = [(left - 8, _MIDDLE - 3), (left - 2, _MIDDLE), (left - 8, _MIDDLE + 3)]
        edges += [_line(0, left - 7), element("polygon", points=_points(head), class_="head")]
        edges.append(element("text", f"{bits[0]} bit", x=4, y=_MIDDLE - 7))
    boxes = (element("polygon", points=_points(points), class_=name) for name, points in faces.items())
    title = "what goes in" if bits[0] is None else f"{bits[0]} bits come in"
    view = f"0 0 {_WIDTH} {_HEIGHT}"
    return element("svg", element("title", title), *edges, *boxes, viewBox=view, role="img", class_="box")


def _line(start: float, end: float) -> Markup:
    return element("line", x1=f"{start:.1f}", y1=_MIDDLE, x2=f"{end:.1f}", y2=_MIDDLE)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
