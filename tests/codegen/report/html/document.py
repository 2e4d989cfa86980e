"""Reads a page: checks that every element is closed in its place, and keeps what the tests look at."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = ("meta",)


@dataclass
class Node:
    """An element with its children: other elements and texts."""

    tag: str
    attributes: dict[str, str | None]
    children: list["Node | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def lines(self) -> list[str]:
        """The text of each element that has text of its own."""
        own = "".join(child for child in self.children if isinstance(child, str))
        inner = [line for child in self.children if isinstance(child, Node) for line in child.lines]
        return [own, *inner] if own else inner

    def all(self, tag: str, class_: str | None = None) -> list["Node"]:
        """Every element inside with this name and, if given, this class."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if child.tag == tag and class_ in (None, *(child.attributes.get("class") or "").split()):
                    found.append(child)
                found += child.all(tag, class_)
        return found

    def one(self, tag: str, class_: str | None = None) -> "Node":
        (found,) = self.all(tag, class_)
        return found

    def rows(self) -> list[list[str]]:
        """The cells of a table, bars and marks left out."""
        return [
            [cell.text for cell in row.children if isinstance(cell, Node)]
            for row in self.all("tr")
            if "groups" not in (row.attributes.get("class") or "")
        ]


def read(page: str) -> Node:
    """The page as elements, every space a plain one. Asserts that each is closed, and in its place."""
    parser = _Parser(convert_charrefs=True)
    parser.feed(page.replace("\N{NO-BREAK SPACE}", " "))
    parser.close()
    assert [node.tag for node in parser.open] == ["page"]
    return parser.open[0]


class _Parser(HTMLParser):
    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.open = [Node("page", {})]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        node = Node(tag, dict(attributes))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.open[-1].children.append(data)
