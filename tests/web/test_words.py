"""Every text that a person sees goes through the catalogues, in every template: a new page is held to it by being there."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

TEMPLATES = Path(__file__).parents[2] / "sla_plugin" / "web" / "admin" / "templates"
_SPOKEN = ("aria-label", "title", "alt", "placeholder", "data-label", "content")  # attributes that somebody reads
_NAMES = {"SLA", "CSV", "YAML", "v", "ms"}  # the same in every language; versions are v3
_FILLED = "\ufffc"  # stands for what a template fills in
_GETTEXT = {"_", "gettext", "ngettext"}


class _Texts(HTMLParser):
    """Collects the texts of a page outside code: (line, text)."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self.code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Attributes that somebody reads are texts, too."""
        self.code += tag in ("code", "kbd", "script")
        for name, value in attrs:
            if name in _SPOKEN and tag != "meta" and _is_text(value or ""):
                self.found.append((self.getpos()[0], f"{name}={value}"))

    def handle_endtag(self, tag: str) -> None:
        """Code ends."""
        self.code -= tag in ("code", "kbd", "script")

    def handle_data(self, data: str) -> None:
        """A text, or what a template fills in."""
        if not self.code and _is_text(re.sub(r'[\w-]+="[^"]*"', "", data)):  # a macro may write attributes
            self.found.append((self.getpos()[0], data.strip()))


def _is_text(said: str) -> bool:
    return any(word not in _NAMES for word in re.findall(r"[^\W\d_]+", said.replace(_FILLED, " ")))


def _outside(source: str) -> str:
    """A template with a placeholder for each of its own parts; lines stay where they are."""
    kept, inside = [], 0
    for _, kind, value in Environment().lex(source):
        if kind in ("variable_begin", "block_begin", "comment_begin"):
            inside += 1
        kept.append(value if not inside and kind == "data" else "\n" * value.count("\n"))
        if kind in ("variable_end", "block_end", "comment_end"):
            inside -= 1
            kept.append(_FILLED if kind == "variable_end" else "")
    return "".join(kept)


def _constants(node: nodes.Node, *, shown: bool) -> Iterator[nodes.Const]:
    """Texts in an expression that go through no catalogue; `shown` where the value itself is written to the page."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in _GETTEXT:
        for argument in node.kwargs:
            yield from _constants(argument.value, shown=not isinstance(argument.value, nodes.Const))
        return
    if isinstance(node, nodes.Const):
        if isinstance(node.value, str) and (_is_sentence(node.value) or (shown and _is_text(node.value))):
            yield node
        return
    if isinstance(node, nodes.CondExpr):
        for branch in (node.expr1, node.expr2):
            if branch is not None:
                yield from _constants(branch, shown=shown)
        return
    if isinstance(node, nodes.Compare | nodes.Getitem | nodes.Test):
        return
    if isinstance(node, nodes.Tuple) and len(node.items) == 2:
        yield from _constants(node.items[1], shown=True)
        return
    inherits = isinstance(node, nodes.Concat | nodes.Or | nodes.And | nodes.Add)
    for child in node.iter_child_nodes():
        yield from _constants(child, shown=shown and inherits)


def _is_sentence(said: str) -> bool:
    return bool(re.match(r"[A-Z][a-z]", said) or re.search(r"[a-z] [a-z]", said)) and "/" not in said


def bare_texts(source: str) -> list[tuple[int, str]]:
    """(line, text) of what a template says in one language only."""
    parser = _Texts()
    parser.feed(_outside(source))
    found = parser.found
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(source)
    for output in tree.find_all(nodes.Output):
        before = ""
        for part in output.nodes:
            if isinstance(part, nodes.TemplateData):
                before = part.data
                continue
            attribute = re.search(r'([\w-]+)="[^"<>]*$', before)
            shown = attribute is None or attribute[1] in _SPOKEN
            found += [(const.lineno, str(const.value)) for const in _constants(part, shown=shown)]
    for kind in (nodes.Assign, nodes.For, nodes.CallBlock):
        for statement in tree.find_all(kind):
            part = statement.iter if isinstance(statement, nodes.For) else statement.node if isinstance(statement, nodes.Assign) else statement.call
            found += [(const.lineno, str(const.value)) for const in _constants(part, shown=False)]
    return sorted(set(found))
