"""Checks Grafana dashboards: their form, their queries, and that every metric in them is ours.

    python tools/check_dashboard.py deploy/grafana/kadencia.json

Ends with 1 and a line for each thing that is wrong.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

VARIABLES = {"$__rate_interval": "5m", "$task": ".*"}
"""What Grafana puts in place of these; everything else with a $ is refused."""

OTHERS = {"up"}
"""Prometheus's own."""

SUFFIXES = ("_bucket", "_count", "_sum")

_NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b")
_STRING = re.compile(r'"[^"]*"')
_KEYS = {
    "uid": str,
    "title": str,
    "schemaVersion": int,
    "panels": list,
    "templating": dict,
    "time": dict,
}
_PANEL_KEYS = {"id": int, "type": str, "title": str, "gridPos": dict}


def metrics() -> set[str]:
    """Every series that the product tells."""
    from worker.figures import catalogue
    from worker.measures import MEASURES

    figures = {one.name for one in vars(catalogue).values() if isinstance(one, catalogue.Figure)}
    plain = {one.name for one in MEASURES if one.kind != "histogram"}
    histograms = {one.name + end for one in MEASURES if one.kind == "histogram" for end in SUFFIXES}
    return figures | plain | histograms


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its queries, as Grafana would ask them."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = str(target.get("expr", ""))
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def metrics_of(query: str) -> set[str]:
    """The names in a query that are metrics: those that begin as ours, or are no others' word.

    >>> sorted(metrics_of('sum by (task) (rate(kadencia_a_total{b="kadencia_c"}[5m])) / up'))
    ['kadencia_a_total', 'up']
    """
    words = set(_NAME.findall(_STRING.sub('""', query)))
    return {word for word in words if word.startswith("kadencia_") or word in OTHERS}


def wrongs(dashboard: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a dashboard, but for the grammar of its queries."""
    yield from _wrong_keys(dashboard, _KEYS, "the dashboard")
    panels = dashboard.get("panels", [])
    for panel in panels:
        yield from _wrong_panel(panel)
    ids = [panel.get("id") for panel in panels]
    yield from (f"two panels have the id {one}" for one in sorted(set(ids)) if ids.count(one) > 1)
    yield from _overlaps(panels)
    known = metrics() | OTHERS
    for title, query in queries(dashboard):
        if "$" in query:
            yield f"{title}: a variable that is not known in {query}"
        named = metrics_of(query)
        if not named:
            yield f"{title}: no metric of ours in {query!r}"
        yield from (f"{title}: nobody tells {name}" for name in sorted(named - known))


def _wrong_panel(panel: dict[str, Any]) -> Iterator[str]:
    where = f"panel {panel.get('title') or panel.get('id')}"
    yield from _wrong_keys(panel, _PANEL_KEYS, where)
    if panel.get("type") == "row":
        return
    if not panel.get("targets"):
        yield f"{where} is empty"
    if not panel.get("description"):
        yield f"{where} does not say what it shows"
    for one in (panel, *panel.get("targets", ())):
        if one.get("datasource", {}).get("uid") != "${datasource}":
            yield f"{where} does not take the data source from the variable"
            return


def _wrong_keys(given: dict[str, Any], keys: dict[str, type], where: str) -> Iterator[str]:
    for key, kind in keys.items():
        if not isinstance(given.get(key), kind):
            yield f"{where}: {key} is missing, or no {kind.__name__}"


def _overlaps(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel.get("gridPos", {})
        for x in range(place.get("x", 0), place.get("x", 0) + place.get("w", 0)):
            for y in range(place.get("y", 0), place.get("y", 0) + place.get("h", 0)):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"panels {other} and {panel['title']} overlap"
                    return
                if x >= 24:
                    yield f"panel {panel['title']} is wider than the page"
                    return


def unparsed(dashboard: dict[str, Any], promtool: str) -> str | None:
    """What Prometheus's own parser says against the queries; None if it takes all of them."""
    rules = [
        {"record": f"query:{number}", "expr": query}
        for number, (_, query) in enumerate(queries(dashboard))
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        done = subprocess.run(  # noqa: S603  a program by its path, without a shell
            [promtool, "check", "rules", file.name], capture_output=True, text=True, check=False
        )
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()


def main(paths: list[str]) -> int:
    """Check each; returns the exit code."""
    import shutil

    promtool = shutil.which("promtool")
    found = []
    for path in paths:
        dashboard = json.loads(Path(path).read_text())
        found += [f"{path}: {wrong}" for wrong in wrongs(dashboard)]
        if promtool and (words := unparsed(dashboard, promtool)):
            found.append(f"{path}: {words}")
    sys.stdout.writelines(f"{line}\n" for line in found)
    if promtool is None:
        sys.stderr.write("promtool is missing, so the queries' grammar was not looked at\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
