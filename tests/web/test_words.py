"""Every text that a person sees goes through the catalogues, and the catalogues have it: a new page is held to both by being there."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from jinja2 import Environment, nodes

from connectors.generic.connector import GenericConnector
from connectors.zendesk.connector import ZendeskConnector
from sla_plugin.actions.registry import ACTIONS
from sla_plugin.engine.facts import STATUSES
from sla_plugin.permissions import PERMISSIONS, ROLES
from sla_plugin.web.admin.clock_rows import METRIC_TITLES
from sla_plugin.web.admin.condition_form import OPERATOR_WORDS
from sla_plugin.web.admin.registration import MENU
from tests.catalogue import is_translated, languages, read, texts_of_code

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


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_says_anything_in_one_language_only(template: Path) -> None:
    assert bare_texts(template.read_text()) == []


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_sets_the_name_of_the_catalogue(template: Path) -> None:
    """`_` set in a macro is the catalogue no more: its next text would be a 500."""
    assert re.search(r"\{%-?\s*(set|for)\s+([\w.]+\s*,\s*)*_\s*[,= ]", template.read_text()) is None


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("<p>Hello</p>", ["Hello"], id="a text"),
        pytest.param('<p>{{ _("Hello") }} #{{ n }} · v{{ m }}</p>', [], id="through the catalogue"),
        pytest.param("<code>make run</code> <kbd>g</kbd>", [], id="code"),
        pytest.param('<a aria-label="Close"></a>', ["aria-label=Close"], id="an attribute"),
        pytest.param("<a class=\"{{ 'on' if x else 'off' }}\"></a>", [], id="a class"),
        pytest.param('{{ "open" if x else _("closed") }}', ["open"], id="a branch"),
        pytest.param('{{ m.field("name", "Name", form) }}', ["Name"], id="a label"),
        pytest.param('{% set rows = [("all", "all"), ("new", _("new"))] %}', ["all"], id="a choice"),
        pytest.param('{{ _("Due %(when)s", when="now" ~ x) }}', ["now"], id="within a message"),
    ],
)
def test_bare_texts_are_found(source: str, found: list[str]) -> None:
    assert [text for _, text in bare_texts(source)] == found


# --- code ------------------------------------------------------------------------------------------------------------
CODE = Path(__file__).parents[2] / "sla_plugin"
SPEAKING = sorted([*(CODE / "web" / "admin").glob("*.py"), CODE / "reports" / "lights.py", CODE / "reports" / "clock_picture.py"])
_SENTENCE = re.compile(r"[A-Z][a-z]*[ ,].*[a-z]{2}[.?]$", re.DOTALL)


def bare_sentences(source: str) -> list[tuple[int, str]]:
    """(line, text) of sentences in code that go through no catalogue; docstrings are for us."""
    found: list[tuple[int, str]] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"gettext", "ngettext", "marked"}:
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return
        if isinstance(node, ast.Constant | ast.JoinedStr):
            text = node.value if isinstance(node, ast.Constant) else "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in node.values)
            if isinstance(text, str) and _SENTENCE.match(text):
                found.append((node.lineno, text))
            return
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(source))
    return found


@pytest.mark.parametrize("module", SPEAKING, ids=lambda path: path.name)
def test_no_code_behind_a_page_says_a_sentence_in_one_language_only(module: Path) -> None:
    assert bare_sentences(module.read_text()) == []


def test_bare_sentences_are_found() -> None:
    source = (
        'def f():\n    """Docs are ours."""\n    flash("It is done.")\n    flash(gettext("It is done."))\n    flash(f"{n} are done now.")\n    go("/It is.")'
    )
    assert bare_sentences(source) == [(3, "It is done.")]


# --- catalogues ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def texts() -> Catalog:
    """Every text of code and templates."""
    return texts_of_code()


@pytest.mark.parametrize("language", languages())
def test_a_catalogue_has_every_text_and_no_other(texts: Catalog, language: str) -> None:
    asked, told = ({_key(m): m for m in catalogue if m.id} for catalogue in (texts, read(language)))
    assert sorted(asked.keys() - told.keys()) == [], "run make translations"
    assert sorted(told.keys() - asked.keys()) == [], "run make translations"
    assert [key for key, m in told.items() if m.fuzzy or not is_translated(m)] == [], "translate these"


@pytest.mark.parametrize("language", languages())
def test_a_translation_fills_in_the_same_names_and_fits_into_attributes(language: str) -> None:
    for message in read(language):
        if not message.id:
            continue
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        asked = set(_NAME.findall(" ".join(message.id) if isinstance(message.id, tuple) else message.id))
        for form in forms:
            assert set(_NAME.findall(form)) <= asked, form
            assert asked - set(_NAME.findall(form)) <= {"%(num)d", "%(num)s"}, form  # "one" may stand as a word
            assert re.findall(r"</?\w+>", form) == re.findall(r"</?\w+>", message.id if isinstance(message.id, str) else message.id[0]), form
            assert '"' not in form, form


_NAME = re.compile(r"%\(\w+\)[sd]")


def _key(message: Message) -> str:
    return message.id[0] if isinstance(message.id, tuple) else str(message.id)


def test_every_stable_word_of_ours_has_a_translation() -> None:
    known = {_key(message) for message in read("de")}
    words = [*METRIC_TITLES.values(), *(status.replace("_", " ").capitalize() for status in STATUSES), *ROLES, *OPERATOR_WORDS.values()]
    words += [row.help for row in PERMISSIONS.values()] + [action.summary for action in ACTIONS.values()]
    words += [text for connector in (GenericConnector, ZendeskConnector) for text in (connector.summary,)]
    words += [word for group, pages in MENU for word in (group, *(title for _, title in pages))]
    assert [word for word in words if word not in known] == []
