"""Which extensions were loaded in which process, and why one was not."""

from collections.abc import Iterable
from html import escape
from typing import Any

import gradio as gr

from modules.core.events import PluginReport
from modules.core.extension_points import Tab, hookimpl
from modules.web.widgets.instant import INSTANT, element, page_in_making

NONE = (
    "<p class='at-note'>There are no extensions. One is a folder below <code>extensions</code> with a file "
    "<code>plugin.py</code>; it is found at the next start.</p>"
)


def build(studio: Any) -> None:
    """A table, made anew whenever the page is opened: an engine reports later than the page is built."""
    with gr.Column(elem_classes="at-page"):
        table = element(report_table(studio.extensions.reports()), elem_id="extensions_table")
        again = gr.Button("Look again", size="sm", elem_id="extensions_refresh", scale=0, min_width=120)

    def now() -> str:
        return report_table(studio.extensions.reports())

    again.click(now, None, table, **INSTANT)
    page_in_making().load(now, None, table, **INSTANT)


def report_table(reports: Iterable[PluginReport]) -> str:
    """One row per extension and process. Names and reasons come from strangers: they are escaped."""
    rows = [_row(one) for one in sorted(reports, key=lambda one: (one.name, one.process))]
    if not rows:
        return NONE
    head = "<tr><th scope='col'>Extension</th><th scope='col'>Process</th><th scope='col'>State</th></tr>"
    return f"<table class='at-table'><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _row(report: PluginReport) -> str:
    state = f"<span class='at-problem'>{escape(report.problem)}</span>" if report.problem else "loaded"
    return f"<tr><td>{escape(report.name)}</td><td>{escape(report.process)}</td><td>{state}</td></tr>"


@hookimpl
def register_tabs() -> list[Tab]:
    """The last tab."""
    return [Tab(name="Extensions", id="extensions", build=build, order=90)]
