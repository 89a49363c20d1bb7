"""The report: safe to open, complete in itself, and readable in a browser, on a telephone too."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_up import LOOP, PROCESSES, THREADS, comparison, curve, rich

from potok.adviser.chart import Plane, bars, curves
from potok.adviser.comparison import Comparison, Gil, Parcel, Row

if TYPE_CHECKING:
    from conftest import Browser

VOID = {"meta", "link", "img", "br"}


class Elements(HTMLParser):
    """The elements of a page with their attributes; complains about what is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("html", [rich().html(), rich()._repr_html_()], ids=["page", "notebook"])
def test_nothing_gets_out_of_the_text(html: str) -> None:
    """Names and reasons are text, whatever they look like; nothing is loaded from anywhere, and nothing runs."""
    elements = Elements(html)
    assert "<script>alert(1)</script>" in elements.text
    assert '<img src=x onerror="alert(1)">&' in elements.text
    for tag, attributes in elements.found:
        assert tag not in {"script", "img", "iframe", "object"}
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href") in (None, "data:,")
    assert not re.search(r"https?:|url\(|@import", html)


def test_page_has_what_the_table_has() -> None:
    text = Elements(rich().html()).text.replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "plain loop",
        "threads 6",
        "processes 4",
        "3.10 s",
        "1.82 ×",
        "98 %",
        "40 µs",
        "22 MB",
        "1.0 MB + 120 B",
    ):
        assert part in text
    assert str(rich().verdict) in text
    assert "serial fraction" in text
    assert "needs Python 3.14" in text


def test_saved_page_is_the_page(tmp_path: Path) -> None:
    rich().save(tmp_path / "x.html")
    assert (tmp_path / "x.html").read_text(encoding="utf-8") == rich().html()
    assert rich().html().startswith("<!DOCTYPE html>")


def test_notebook_gets_a_part_whose_style_stays_inside() -> None:
    """Every rule is about what is in it."""
    part = rich()._repr_html_()
    assert part.startswith('<div class="potok-compare">')
    style = re.sub(r"@media[^{]*", "", part[part.index("<style>") + 7 : part.index("</style>")])
    selectors = [
        one.strip() for group in re.findall(r"([^{}]+)\{", style) for one in group.split(",") if one.strip()
    ]
    assert selectors
    assert all(one.startswith(".potok-compare") for one in selectors)


def test_without_items_or_curves_there_is_a_page_all_the_same() -> None:
    empty = comparison(items=0, loop=Row("plain loop", 1))
    assert "There were no items to measure." in Elements(empty.html()).text
    assert "svg" not in {tag for tag, _ in Elements(empty.html()).found}
    assert "Speed-up over the plain loop" not in Elements(comparison(PROCESSES).html()).text


# ── the pictures ────────────────────────────────────────────────────────────────────────────────────────────────


def test_bars_are_as_long_as_the_times() -> None:
    """From zero, in one scale, with a whisker from least to most."""
    drawn = Elements(bars(comparison(PROCESSES, loop=LOOP)))
    widths = [float(attributes["width"] or 0) for tag, attributes in drawn.found if tag == "rect"]
    assert widths == [pytest.approx(3.1 / 3.2 * 316, abs=0.1), pytest.approx(1.7 / 3.2 * 316, abs=0.1)]
    whiskers = [attributes["d"] for _, attributes in drawn.found if attributes.get("class") == "whisker"]
    assert whiskers[0].startswith("M298.2 30H318.0")  # 3.0 and 3.2 of 3.2
    assert drawn.found[0][1]["aria-label"] == "Time of one run: plain loop 3.10 s, processes 2 1.70 s"


def test_curve_has_points_error_bars_ideal_and_fit() -> None:
    drawn = Elements(curves(rich())).found
    classes = [attributes.get("class") or "" for _, attributes in drawn]
    assert classes.count("ideal") == 1
    assert sum(one.startswith("fill") for one in classes) == 8
    assert sum(one.startswith("bar") for one in classes) == 8
    assert sum(one.startswith("line") for one in classes) == 2
    assert sum(one.startswith("fit") for one in classes) == 2
    two = comparison(PROCESSES, curves=(curve("processes", {1: 1.0, 2: 0.6}, 2),))
    assert not any(
        (attributes.get("class") or "").startswith("fit") for _, attributes in Elements(curves(two)).found
    )


def test_plane_is_in_powers_of_two() -> None:
    """A doubling is the same way everywhere, so the ideal is straight; what is off the plane is kept on its edge."""
    made = curve("processes", {1: 1.0, 4: 0.25}, 4)
    plane = Plane.around(made.points, 4)
    assert plane == Plane(2, -1, 3)
    assert plane.x(2) - plane.x(1) == pytest.approx(plane.x(4) - plane.x(2))
    assert plane.y(1) - plane.y(2) == pytest.approx(plane.y(2) - plane.y(4))
    assert plane.y(0.001) == plane.y(0) == plane.y(0.5)


def test_far_apart_speedups_have_few_ticks() -> None:
    """From 1/1024 to 100 there is no room for each power of two."""
    made = comparison(curves=(curve("coroutines", {1: 1000.0, 100: 0.01}, 2),))
    heights = re.findall(r'text-anchor="end">([^<]+)<', curves(made))
    assert heights == ["1/512", "1/64", "1/8", "1", "8", "64"]


# ── in a browser ────────────────────────────────────────────────────────────────────────────────────────────────

LOOK = """
(() => {
  const colour = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const edges = b => [b.left, b.top, b.right, b.bottom];
  document.querySelectorAll('details').forEach(d => d.open = true);
  const svgs = [...document.querySelectorAll('svg')];
  const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement, style = getComputedStyle(e), svg = e.closest('svg');
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!node.data.trim() || !box.width) continue;
    texts.push({
      text: node.data.trim().slice(0, 60),
      size: parseFloat(style.fontSize) * (svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1),
      contrast: contrast(colour(svg ? style.fill : style.color), behind(svg || e)),
      box: edges(box),
      svg: svgs.indexOf(svg),
    });
  }
  const shapes = [...document.querySelectorAll('rect, circle, .line, .whisker, .ideal')].map(e => {
    const style = getComputedStyle(e);
    return contrast(colour(style.fill !== 'none' ? style.fill : style.stroke), behind(e.closest('svg')));
  });
  const root = document.documentElement, table = document.querySelector('table');
  return {
    width: root.scrollWidth, view: root.clientWidth, texts, shapes,
    svgs: svgs.map(e => edges(e.getBoundingClientRect())),
    table: table && edges(table.getBoundingClientRect()),
    column: table && edges(table.parentElement.firstElementChild.getBoundingClientRect()),
    back: colour(getComputedStyle(document.body).backgroundColor),
  };
})()
"""

SIZES = [(360, "light"), (360, "dark"), (800, "light"), (970, "light"), (1200, "light"), (1200, "dark")]


def look(
    browser: "Browser", page: Path, width: int, scheme: str, picture: Path
) -> tuple[dict[str, Any], list[Any]]:
    """Open the page in a window that wide; what is seen there, and what the console says."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Runtime", "Log", "Page"):
        browser.call(f"{domain}.enable", session)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.call("Emulation.setDeviceMetricsOverride", session, **metrics)
    browser.call(
        "Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.complaints()
    browser.call("Page.navigate", session, url=page.as_uri())
    browser.wait_for("Page.loadEventFired")
    seen = browser.call("Runtime.evaluate", session, expression=LOOK, returnByValue=True)["result"]["value"]
    shot = browser.call("Page.captureScreenshot", session, format="png", captureBeyondViewport=True)
    picture.write_bytes(base64.b64decode(shot["data"]))
    complaints = browser.complaints()
    browser.call("Target.closeTarget", targetId=target)
    return seen, complaints


def overlap(one: list[float], other: list[float]) -> bool:
    """By more than a pixel in both directions."""
    return (
        min(one[2], other[2]) - max(one[0], other[0]) > 1
        and min(one[3], other[3]) - max(one[1], other[1]) > 1
    )


def wide() -> Comparison:
    """Every cell of its table as long as they get."""
    row = replace(
        PROCESSES,
        name="interpreters",
        workers=100,
        runs=(0.611, 0.642, 0.664),
        cpu_program=0.001,
        cpu_workers=0.388,
        gil=Gil(0.99, 0.000165, 90),
        sending_seconds=0.000793,
        start_seconds=0.179,
        memory_bytes=201_000_000,
    )
    loop = replace(LOOP, runs=(0.322, 0.323, 0.347), gil=Gil(0.99, 0.000165, 90))
    parcel = Parcel(123_456_789, 123_456_789, 0.00002, 0.000012)
    return comparison(row, loop=loop, parcel=parcel, curves=(curve("interpreters", {1: 1.0, 2: 0.6}, 2),))


@pytest.fixture(scope="module", params=["rich", "plain", "far", "wide"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of different kinds: with everything, with little, with speed-ups that are far apart."""
    far = curve("coroutines", {1: 1000.0, 2: 10.0, 100: 0.01}, 2)
    made: dict[str, Comparison] = {
        "rich": rich(),
        "plain": comparison(THREADS, PROCESSES, curves=(curve("processes", {1: 1.0, 2: 0.6}, 2),)),
        "far": comparison(THREADS, curves=(far, curve("threads", {1: 900.0, 2: 2000.0}, 2))),
    }
    made["wide"] = wide()
    path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    made[request.param].save(path)
    return path


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_page_is_readable(browser: "Browser", page: Path, width: int, scheme: str, tmp_path: Path) -> None:
    """No complaint on the console; the pictures are there; no scrolling sideways; text big, in contrast, and whole."""
    seen, complaints = look(browser, page, width, scheme, tmp_path / "seen.png")
    assert complaints == []
    assert (tmp_path / "seen.png").stat().st_size > 5000
    assert seen["width"] <= seen["view"] == width
    assert (sum(seen["back"][:3]) > 600) == (scheme == "light")

    assert seen["column"][0] - 1 <= seen["table"][0] < seen["table"][2] <= seen["column"][2] + 1

    assert len(seen["svgs"]) == 2
    assert all(right - left > 250 and bottom - top > 80 for left, top, right, bottom in seen["svgs"])
    assert min(seen["shapes"]) >= 3

    for text in seen["texts"]:
        assert text["size"] >= 12, text
        assert text["contrast"] >= 4.5, text
        left, top, right, bottom = (
            seen["svgs"][text["svg"]] if text["svg"] >= 0 else (0, 0, width, float("inf"))
        )
        assert left - 1 <= text["box"][0] < text["box"][2] <= right + 1, text
        assert top - 1 <= text["box"][1] < text["box"][3] <= bottom + 1, text
    boxes = [(text["text"], text["box"]) for text in seen["texts"]]
    for number, (text, box) in enumerate(boxes):
        assert not [other for other, its in boxes[number + 1 :] if overlap(box, its)], text


def test_looking_finds_what_is_wrong(browser: "Browser", tmp_path: Path) -> None:
    """Guards the test above: a page with every fault shows each of them."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<!DOCTYPE html><html lang="en"><head><meta name="viewport" content="width=device-width"></head><body>'
        "<p style='color:#bbb;background:#fff;font-size:8px;position:absolute;top:0'>pale and small</p>"
        "<p style='width:2000px;position:absolute;top:-9px'>too wide</p>"
        "<script>throw new Error('loud')</script></body></html>",
        encoding="utf-8",
    )
    seen, complaints = look(browser, bad, 360, "light", tmp_path / "seen.png")
    assert "loud" in json.dumps(complaints)
    assert seen["width"] > seen["view"]
    pale, wide = seen["texts"]
    assert pale["contrast"] < 4.5
    assert pale["size"] == 8
    assert overlap(pale["box"], wide["box"])
