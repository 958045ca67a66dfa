"""Templates of subjects and bodies: Jinja2, cut down to what cannot run away.

A template may print, choose and repeat. It has no assignments, macros, imports or
concatenation, with which a short source doubles a text forty times over.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator, Mapping
from functools import lru_cache
from typing import Any, cast

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker.core.content import ContentError, check_text

RANGE_MAX = 1_000  # chosen: no letter counts further
LOOPS_NESTED_MAX = 2  # chosen: rows and columns
SOURCE_CHARACTERS_MAX = 2_000_000  # chosen: no mail program shows more
OUTPUT_CHARACTERS_MAX = 5_000_000  # chosen: likewise
TEMPLATES_REMEMBERED = 64  # chosen: the mailings under way at a time

_FILTERS = (
    "abs capitalize d default e escape first float int join last length lower max min "
    "replace reverse round safe sort sum title trim truncate upper urlencode"
)
_METHODS = {"items", "keys", "values"}
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.For,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Filter,
    nodes.Test,
    nodes.Call,
    nodes.Compare,
    nodes.Operand,
    nodes.CondExpr,
    nodes.UnaryExpr,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.And,
    nodes.Or,
)


def _range(*limits: int) -> range:
    numbers = range(*limits)
    if len(numbers) > RANGE_MAX:
        raise SecurityError(f"counts over more than {RANGE_MAX} numbers")
    return numbers


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "%", "+"})

    def __init__(self, autoescape: bool) -> None:
        super().__init__(
            autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True
        )
        self.globals = {"range": _range}
        self.filters = {name: self.filters[name] for name in _FILTERS.split()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers only: a text times a number could fill the memory."""
        for operand in (left, right):
            if not isinstance(operand, (int, float)):
                raise SecurityError(f"uses {operator} on what is not a number")
        return super().call_binop(context, operator, left, right)


_ENVIRONMENTS = {html: _Environment(autoescape=html) for html in (False, True)}


def check_template(source: str, where: str = "template") -> None:
    """Refuse a source that is no template, or uses what ours may not.

    Raises:
        ContentError: with the line.

    >>> check_template("{% if x %}", "subject")
    Traceback (most recent call last):
    worker.core.content.ContentError: subject, line 1: is no valid template: Unexpected end of \
template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost \
block that needs to be closed is 'if'; correct it there
    """
    _compiled_or_refused(source, False, where)


def template_fields(source: str, where: str = "template") -> frozenset[str]:
    """Return the names of the fields that a template looks up, needed in every case or not.

    Raises:
        ContentError: it is no valid template.

    >>> sorted(template_fields("{{ meno }}{% for f in faktury %}{{ f.suma }}{% endfor %}"))
    ['faktury', 'meno']
    """
    return _compiled_or_refused(source, False, where)[1]


def render(source: str, fields: Mapping[str, Any], html: bool, where: str = "template") -> str:
    """Fill a template.

    Args:
        source: Jinja2, as `check_template` passes it.
        fields: values by name: texts, numbers, lists and mappings of them.
        html: whether values are escaped for HTML.
        where: what the template is of, for errors.

    Raises:
        ContentError: a field is missing, an expression fails, or the outcome is too long;
            with the line.

    >>> render("Dobrý deň, {{ meno }}!", {"meno": "A & B"}, html=True)
    'Dobrý deň, A &amp; B!'
    >>> render("{{ meno }}", {}, html=False, where="subject")
    Traceback (most recent call last):
    worker.core.content.ContentError: subject, line 1: 'meno' is undefined; give every message \
the field
    """
    template, _ = _compiled_or_refused(source, html, where)
    written, total = [], 0
    pieces = cast(Generator[str, None, None], template.generate(fields))
    try:
        for piece in pieces:
            total += len(piece)
            if total > OUTPUT_CHARACTERS_MAX:
                # Thrown into the template, so that the traceback has its line.
                pieces.throw(SecurityError(f"gives more than {OUTPUT_CHARACTERS_MAX} characters"))
            written.append(piece)
    except UndefinedError as error:
        raise ContentError(
            str(error.message), _place(error, where), "give every message the field"
        ) from None
    except SecurityError as error:
        raise ContentError(
            str(error.message), _place(error, where), "simplify the template"
        ) from None
    except Exception as error:
        # Its words may hold a field's value, which is nobody's but the recipient's.
        raise ContentError(
            f"fails with {type(error).__name__}", _place(error, where), "correct it or the fields"
        ) from None
    return "".join(written)


def _place(error: Exception, where: str) -> str:
    """Name the template's line: Jinja2 puts it into the traceback as a frame."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return f"{where}, line {lines[-1]}" if lines else where


def _compiled_or_refused(source: str, html: bool, where: str) -> tuple[Template, frozenset[str]]:
    check_text(source, where)
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise ContentError(
            f"is longer than {SOURCE_CHARACTERS_MAX} characters", where, "shorten it"
        )
    try:
        return _compiled(source, html)
    except TemplateSyntaxError as error:
        raise ContentError(
            f"is no valid template: {str(error.message).rstrip('.')}",
            f"{where}, line {error.lineno}",
            "correct it there",
        ) from None
    except RecursionError:
        raise ContentError("is nested too deeply", where, "simplify the template") from None


@lru_cache(maxsize=TEMPLATES_REMEMBERED)
def _compiled(source: str, html: bool) -> tuple[Template, frozenset[str]]:
    environment = _ENVIRONMENTS[html]
    tree = environment.parse(source)
    _check_nodes(tree, loops=0)
    fields = find_undeclared_variables(tree) - environment.globals.keys()
    return environment.from_string(tree), frozenset(fields)


def _check_nodes(node: nodes.Node, loops: int) -> None:
    if not isinstance(node, _ALLOWED):
        raise TemplateSyntaxError(f"{type(node).__name__} is not available here", node.lineno)
    if isinstance(node, nodes.Call) and not _may_be_called(node.node):
        raise TemplateSyntaxError("only range() and .items() can be called here", node.lineno)
    if isinstance(node, nodes.For):
        loops += 1
        if loops > LOOPS_NESTED_MAX or node.recursive:
            raise TemplateSyntaxError(
                f"loops are nested more than {LOOPS_NESTED_MAX} deep", node.lineno
            )
    for child in node.iter_child_nodes():
        _check_nodes(child, loops)


def _may_be_called(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Name):
        return node.name == "range"
    return isinstance(node, nodes.Getattr) and node.attr in _METHODS
