"""Templates fill in fields, and can do nothing else."""

from __future__ import annotations

import time

import pytest

from worker.compose.templates import check_template, render, template_fields
from worker.core.content import ContentError


def test_values_are_escaped_in_html_and_nowhere_else():
    source, fields = "{{ meno }}", {"meno": "<b>A & B</b>"}

    assert render(source, fields, html=True) == "&lt;b&gt;A &amp; B&lt;/b&gt;"
    assert render(source, fields, html=False) == "<b>A & B</b>"


def test_a_template_chooses_repeats_and_formats():
    source = (
        "{% for f in faktury if f.suma > 0 %}{{ loop.index }}. {{ f.cislo|upper }}: "
        "{{ (f.suma * 1.2)|round(2) }}{{ '' if loop.last else ', ' }}{% else %}nič{% endfor %}"
        "{% for k, v in udaje.items() %} {{ k }}={{ v }}{% endfor %}"
        "{% for n in range(2) %} {{ n + 1 }}{% endfor %} {{ zlava|default('bez zľavy') }}\n"
    )
    fields = {
        "faktury": [{"cislo": "a1", "suma": 10}, {"cislo": "b", "suma": 0}],
        "udaje": {"x": 1},
    }

    assert render(source, fields, html=False) == "1. A1: 12.0 x=1 1 2 bez zľavy\n"
    assert render(source, {"faktury": [], "udaje": {}}, html=False) == "nič 1 2 bez zľavy\n"
    assert template_fields(source) == {"faktury", "udaje", "zlava"}


def test_a_missing_field_is_named_with_its_line():
    with pytest.raises(ContentError) as refused:
        render("Dobrý deň\n\n{{ meno }}", {"priezvisko": "Novák"}, html=False, where="text")

    assert str(refused.value) == "text, line 3: 'meno' is undefined; give every message the field"


def test_a_field_missing_within_a_field_is_named_too():
    with pytest.raises(ContentError, match="line 2: 'dict object' has no attribute 'suma'"):
        render("\n{{ faktura.suma }}", {"faktura": {}}, html=False)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("a\n{% if x %}", "line 2: is no valid template: Unexpected end", id="no end"),
        pytest.param("a\n\n{{ x", "line 3", id="an open bracket"),
        pytest.param("{{ x|nasobok }}", "nasobok", id="an unknown filter"),
        pytest.param("{{ x|format(1) }}", "No filter named 'format'", id="a filter left out"),
        pytest.param("{% set x = 1 %}", "Assign is not available", id="an assignment"),
        pytest.param("{% macro m() %}{% endmacro %}", "Macro is not available", id="a macro"),
        pytest.param("{% include '/etc/passwd' %}", "Include is not available", id="an include"),
        pytest.param("{{ x ~ x }}", "Concat is not available", id="a concatenation"),
        pytest.param("{{ 9 ** 999999999 }}", "Pow is not available", id="a power"),
        pytest.param("{{ x.center(999999999) }}", "only range", id="a method"),
        pytest.param("{{ x() }}", "only range", id="a call"),
        pytest.param("{{ [x][0]() }}", "only range", id="a call of an expression"),
        pytest.param(
            "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
            "nested more than 2",
            id="loops within loops within loops",
        ),
        pytest.param("{% for a in x recursive %}{% endfor %}", "nested", id="a recursive loop"),
        pytest.param("{{ " + "(" * 5_000 + ")" * 5_000 + " }}", "nested too deeply", id="depth"),
        pytest.param("a\0", r"U\+0000", id="a NUL"),
        pytest.param("a" * 2_000_001, "longer than 2000000", id="length"),
    ],
)
def test_what_is_no_template_or_could_run_away_is_refused_before_it_runs(source, words):
    with pytest.raises(ContentError, match=words):
        check_template(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("{% for n in range(1001) %}{% endfor %}", "more than 1000", id="a long loop"),
        pytest.param("{{ x * 999999999 }}", "uses \\* on what is not a number", id="a long text"),
        pytest.param("{{ '%999999999d' % 1 }}", "uses % on what", id="a wide number"),
        pytest.param("{{ x + x }}", "uses \\+ on what", id="a sum of texts"),
        pytest.param("{{ 1 / 0 }}", "fails with ZeroDivisionError", id="a division"),
        pytest.param("{{ x.__class__.__mro__ }}", "unsafe", id="the inside of Python"),
        pytest.param(
            "{% for a in range(1000) %}{% for b in range(1000) %}{{ x }}{% endfor %}{% endfor %}",
            "gives more than 5000000",
            id="a long outcome",
        ),
    ],
)
def test_an_expression_that_fails_or_runs_away_is_stopped_and_placed(source, words):
    started = time.monotonic()

    with pytest.raises(ContentError, match=f"HTML, line 1: .*{words}"):
        render(source, {"x": "Ján Novák " * 10}, html=True, where="HTML")

    assert time.monotonic() - started < 5


def test_an_error_does_not_repeat_what_a_field_holds():
    with pytest.raises(ContentError) as refused:
        render("{{ [meno, 1]|sum }}", {"meno": "tajomstvo"}, html=False)

    assert "tajomstvo" not in str(refused.value)


def test_a_field_may_bear_any_name():
    assert render("{{ self_ }}{{ context }}", {"self_": 1, "context": 2}, html=False) == "12"
