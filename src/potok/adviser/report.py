"""A comparison as HTML: a page of its own that needs nothing else (no network, no script), or a part of a notebook.

Light or dark as the reader's system is; on a narrow screen each row of the table becomes a card.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from potok.adviser.chart import bars, colour, curves
from potok.adviser.units import UNKNOWN, bytes_, duration, percent, ratio

if TYPE_CHECKING:
    from potok.adviser.comparison import Comparison, Row

__all__ = ["fragment", "page"]

STYLE: Final = """
.potok-compare {
  --back: #ffffff; --card: #f4f6f8; --ink: #1b2430; --soft: #4d5866; --rule: #d3d9e0;
  --mark: #e6f3ea; --edge: #23794a;
  --c0: #5b6673; --c1: #0b62c4; --c2: #7a35e0; --c3: #0b7a6a; --c4: #c2410c; --c5: #a3195b;
  background: var(--back); color: var(--ink); color-scheme: light dark;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  .potok-compare {
    --back: #12161c; --card: #1c222b; --ink: #e8ecf1; --soft: #aab4c0; --rule: #39434f;
    --mark: #16301f; --edge: #56c184;
    --c0: #a3adb9; --c1: #6cb2ff; --c2: #c0a0ff; --c3: #45c9b3; --c4: #ff9a5a; --c5: #ff7eb6;
  }
}
.potok-compare * { box-sizing: border-box; }
.potok-compare main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
.potok-compare h1 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .25rem; overflow-wrap: anywhere; }
.potok-compare h2 { font-size: 1rem; margin: 0 0 .5rem; }
.potok-compare p, .potok-compare li, .potok-compare dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
.potok-compare .about, .potok-compare small, .potok-compare footer { color: var(--soft); }
.potok-compare small { font-size: .8125rem; }
.potok-compare .verdict {
  background: var(--mark); border-left: .3rem solid var(--edge); border-radius: .3rem; padding: .75rem 1rem;
  margin: 1rem 0; font-size: 1.0625rem;
}
.potok-compare .charts { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.potok-compare figure { margin: 0; background: var(--card); border-radius: .5rem; padding: .75rem; }
.potok-compare svg { display: block; width: 100%; max-width: 26rem; margin: 0 auto; height: auto; }
.potok-compare svg text { fill: var(--ink); font-size: 14px; font-variant-numeric: tabular-nums; }
.potok-compare svg path { fill: none; }
.potok-compare .grid { stroke: var(--rule); stroke-width: 1; }
.potok-compare .axis { stroke: var(--soft); stroke-width: 1.5; }
.potok-compare .ideal { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 6 4; }
.potok-compare .whisker { stroke: var(--ink); stroke-width: 1.5; }
.potok-compare .line { stroke: var(--c); stroke-width: 2.5; }
.potok-compare .bar { stroke: var(--c); stroke-width: 1.5; }
.potok-compare .fit { stroke: var(--c); stroke-width: 1.5; stroke-dasharray: 2 4; stroke-linecap: round; }
.potok-compare .fill { fill: var(--c); background: var(--c); }
.potok-compare .c0 { --c: var(--c0); } .potok-compare .c1 { --c: var(--c1); } .potok-compare .c2 { --c: var(--c2); }
.potok-compare .c3 { --c: var(--c3); } .potok-compare .c4 { --c: var(--c4); } .potok-compare .c5 { --c: var(--c5); }
.potok-compare .legend {
  display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: .5rem 0 0; padding: 0;
  font-size: .875rem; }
.potok-compare .legend li { margin: 0; }
.potok-compare .key {
  display: inline-block; width: 1.25rem; height: .3rem; border-radius: .15rem; vertical-align: middle;
  margin-right: .4rem;
}
.potok-compare .key.dots { background: repeating-linear-gradient(90deg, var(--soft) 0 2px, transparent 2px 5px); }
.potok-compare .key.dashes { background: repeating-linear-gradient(90deg, var(--soft) 0 5px, transparent 5px 8px); }
.potok-compare table { width: 100%; border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums;
  font-size: .9375rem; text-align: right; }
.potok-compare th, .potok-compare td { padding: .4rem .5rem; border-bottom: 1px solid var(--rule); vertical-align: top;
  text-align: right; background: none; color: inherit; }
.potok-compare thead th { color: var(--soft); font-size: .875rem; font-weight: 600; vertical-align: bottom; }
.potok-compare th:first-child { text-align: left; white-space: nowrap; }
.potok-compare td small { display: block; }
.potok-compare tr.taken > * { background: var(--mark); }
.potok-compare td.reason { text-align: left; color: var(--soft); overflow-wrap: anywhere; }
.potok-compare summary { cursor: pointer; font-weight: 600; padding: .5rem 0; }
.potok-compare dt { font-weight: 600; } .potok-compare dd { margin-left: 1rem; }
.potok-compare ul.notes { padding-left: 1.25rem; }
@media (max-width: 60rem) {
  .potok-compare table, .potok-compare tbody, .potok-compare tr { display: block; }
  .potok-compare thead { display: none; }
  .potok-compare tr { background: var(--card); border-radius: .5rem; padding: .5rem .75rem; margin-bottom: .75rem; }
  .potok-compare tr.taken { outline: 2px solid var(--edge); }
  .potok-compare tr.taken > * { background: none; }
  .potok-compare th:first-child {
    display: block; border: 0; font-size: 1.0625rem; padding: 0 0 .25rem; white-space: normal;
  }
  .potok-compare td { display: flex; justify-content: space-between; gap: 1rem; padding: .2rem 0; border: 0; }
  .potok-compare td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  .potok-compare td.unknown { display: none; }
  .potok-compare td.reason { display: block; }
}
"""

TERMS: Final = {
    "Time": "Median of the timed runs, their least and their most. Everybody has its turn in every round.",
    "Speed-up": "Of the best plain loop, round by round; the median of that. Efficiency is speed-up / workers.",
    "CPU": "Seconds that the program and its worker processes took for one run.",
    "GIL": "Share of the moments at which a thread of the program that wants the GIL has to wait for it: about the "
    "share of time in which it is held. An estimate, from runs that were not timed.",
    "Sending": "What an item costs on this executor with a function that does nothing.",
    "Pickling": "Share of the CPU seconds that go into pickling arguments and results, and unpickling them; and how "
    "big an argument and a result are, on average.",
    "Start": "What the very first run, with new workers, took longer until its first result.",
    "Memory": "What a run needed at its peak, beyond what was there before; worker processes are counted whole.",
    "Amdahl": "T(p) = a + b / p by least squares; the serial fraction is a / (a + b).",
}


def page(comparison: Comparison) -> str:
    """The whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>potok compare: {escape(comparison.function)}</title>\n"
        f"<style>body {{ margin: 0; }}{STYLE}</style>\n</head>\n"
        f'<body class="potok-compare">\n{_main(comparison)}\n</body>\n</html>\n'
    )


def fragment(comparison: Comparison) -> str:
    """What a notebook shows among other things: its style touches nothing else."""
    return f'<div class="potok-compare"><style>{STYLE}</style>\n{_main(comparison)}\n</div>'


def _main(comparison: Comparison) -> str:
    parts = [
        f"<h1>{escape(comparison.function)}</h1>",
        f'<p class="about">{escape(comparison.heading().removeprefix(comparison.function).strip())}</p>',
        f'<p class="verdict">{_together(str(comparison.verdict))}</p>',
    ]
    if comparison.items:
        parts += [_charts(comparison), _table(comparison)]
    notes = comparison.remarks(reasons=False)
    if notes:
        parts.append(
            '<ul class="notes">' + "".join(f"<li>{_together(note)}</li>" for note in notes) + "</ul>"
        )
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(told)}</dd>" for term, told in TERMS.items())
    parts.append(f"<details><summary>How to read this</summary><dl>{terms}</dl></details>")
    parts.append(f"<footer><small>potok compare, {duration(comparison.seconds)} in all</small></footer>")
    return "<main>\n" + "\n".join(parts) + "\n</main>"


def _charts(comparison: Comparison) -> str:
    figures = f"<figure><h2>Time of one run</h2>{bars(comparison)}</figure>"
    picture = curves(comparison)
    if picture:
        figures += f"<figure><h2>Speed-up over the plain loop</h2>{picture}{_legend(comparison)}</figure>"
    return f'<div class="charts">{figures}</div>'


def _legend(comparison: Comparison) -> str:
    keys = [(f"fill {colour(curve.name)}", curve.name) for curve in comparison.curves]
    keys.append(("dashes", "ideal"))
    if any(curve.fit for curve in comparison.curves):
        keys.append(("dots", "Amdahl fit"))
    items = "".join(f'<li><span class="key {key}"></span>{escape(name)}</li>' for key, name in keys)
    return f'<ul class="legend">{items}</ul>'


LABELS: Final = (
    "Time", "Speed-up", "Efficiency", "CPU", "GIL", "Sending", "Pickling", "Start", "Memory",
)  # fmt: skip


def _table(comparison: Comparison) -> str:
    head = "".join(f'<th scope="col">{label}</th>' for label in ("Executor", *LABELS))
    body, chosen = [], comparison.taken
    for row in (comparison.loop, *comparison.rows):
        taken = ' class="taken"' if row is chosen else ""
        name = row.name if row.reason else row.label
        name = f'<th scope="row"><span class="key fill {colour(row.name)}"></span>{escape(name)}</th>'
        body.append(f"<tr{taken}>{name}{_cells(comparison, row)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cells(comparison: Comparison, row: Row) -> str:
    if row.reason:
        return f'<td class="reason" colspan="{len(LABELS)}">not measured: {escape(row.reason)}</td>'
    figures = _figures(comparison, row)
    cells = []
    for label, (main, more) in zip(LABELS, figures, strict=True):
        unknown = ' class="unknown"' if main == UNKNOWN else ""
        small = f"<small>{_together(more)}</small>" if more else ""
        cells.append(f'<td data-label="{label}"{unknown}><span>{_together(main)}{small}</span></td>')
    return "".join(cells)


def _figures(comparison: Comparison, row: Row) -> list[tuple[str, str]]:
    """Each figure of a row, and what stands below it."""
    seconds, speedup, parcel = row.seconds, comparison.speedup(row), comparison.parcel
    several = seconds is not None and seconds.runs > 1
    sizes = ""
    if parcel is not None and row.pickles:
        sizes = f"{bytes_(parcel.argument_bytes)} + {bytes_(parcel.result_bytes)}"
    return [
        (
            duration(seconds and seconds.median, 3),
            f"{duration(seconds.low, 3)} – {duration(seconds.high, 3)}"
            if seconds and several
            else "first run",
        ),
        (
            ratio(speedup and speedup.median),
            f"{ratio(speedup.low)} – {ratio(speedup.high)}" if speedup and speedup.low < speedup.high else "",
        ),
        (percent(comparison.efficiency(row)), ""),
        (
            duration(row.cpu_seconds),
            f"{duration(row.cpu_workers)} in workers" if row.cpu_workers else "",
        ),
        (percent(row.gil and row.gil.held), f"waits {duration(row.gil.wait)}" if row.gil else ""),
        (duration(row.sending_seconds), ""),
        (percent(comparison.pickling(row)), sizes),
        (duration(row.start_seconds), ""),
        (bytes_(row.memory_bytes), ""),
    ]


def _together(text: str) -> str:
    """Escaped, and no line ends between a number and its unit."""
    return escape(re.sub(r"(?<=\d) (?=(?:[nµm]?s|×|%|[kMG]?B)(?!\w))", "\N{NO-BREAK SPACE}", text))
