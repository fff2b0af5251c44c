"""The page and its tables: what they say, and how a real browser shows them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glihamba.networks import build
from glihamba_training.report import compare as report_compare
from glihamba_training.report import page as report
from glihamba_training.report.plots import MOST_DOTS, distributions
from glihamba_training.report.tables import overall, table_1, table_2, table_3
from glihamba_training.scoring.complexity import measure
from glihamba_training.scoring.evaluate import COMPOSITE, SUBSETS, PictureScores, evaluate, val_triples
from glihamba_training.scoring.protocols import Scores

REPOSITORY = Path(__file__).resolve().parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = 390, 1200  # CSS pixels

# Opens the page at both widths, drags the sliders, and leaves what it saw as its own text.
PROBE = """<!doctype html><body><script>
const page = PAGE, told = {};
let left = 2;
for (const width of [PHONE, DESK]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.onload = () => {
    const inside = frame.contentWindow, seen = frame.contentDocument;
    const loaded = inside.performance.getEntriesByType("resource").map(entry => entry.name);
    const slider = seen.querySelector(".slider input"), before = seen.querySelector(".slider .before");
    const clip = () => inside.getComputedStyle(before).clipPath;
    const at = [clip()];
    for (const value of [10, 90]) {
      slider.value = value;
      slider.dispatchEvent(new inside.Event("input", {bubbles: true}));
      at.push(clip());
    }
    told[width] = {
      at, scrolls: seen.documentElement.scrollWidth, sliders: seen.querySelectorAll(".slider input").length,
      broken: [...seen.images].filter(image => !image.complete || !image.naturalWidth).length,
      images: seen.images.length, plots: seen.querySelectorAll("svg circle").length,
      fetched: loaded.filter(name => !name.startsWith("data:")).length,
      paper: inside.getComputedStyle(seen.body).backgroundColor,
      ink: inside.getComputedStyle(seen.body).color,
      columns: inside.getComputedStyle(seen.querySelector(".pictures")).gridTemplateColumns.split(" ").length,
    };
    if (--left == 0) document.body.textContent = JSON.stringify(told);
  };
  document.body.append(frame);
  frame.srcdoc = page;
}
</script></body>"""


@pytest.fixture(scope="module")
def models():
    orange = build("glihamba-tiny").eval()
    with torch.no_grad():
        orange.get_parameter("head.base.bias").view(3, 10)[:, 0] = torch.tensor([1.0, 0.0, -1.0])
    return {COMPOSITE: None, "statistics": build("statistics"), "orange": orange}


@pytest.fixture(scope="module")
def rows(photo_shards, models):
    return evaluate(val_triples(photo_shards, 5), models, ["strict", "gtbg"])


@pytest.fixture(scope="module")
def pages(rows, models, photo_shards, tmp_path_factory):
    """Both pages' paths, by name."""
    folder = tmp_path_factory.mktemp("pages")
    costs = measure({"orange": models["orange"]}, "a processor", runs=1)
    made = {
        "evaluate": report.evaluation(
            rows, val_triples(photo_shards, 5), models, "made here", beside=True, costs=costs
        ),
        "compare": report_compare.comparison(
            rows, val_triples(photo_shards, 5), models, "made here", "statistics", "orange"
        ),
    }
    for name, page in made.items():
        report.write(page, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in made}


def chromium(folder: Path, *arguments: str) -> str:
    if BROWSER is None:
        pytest.skip("no Chromium here: on Debian, apt-get install chromium")
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--hide-scrollbars", "--virtual-time-budget=8000", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["evaluate", "compare"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it_on_a_desk_and_a_phone(pages, tmp_path, name, dark):
    html = json.dumps(pages[name].read_text("utf-8")).replace("</", "<\\/")
    probe = tmp_path / "probe.html"
    probe.write_text(
        PROBE.replace("PAGE", html).replace("PHONE", str(PHONE)).replace("DESK", str(DESK)), "utf-8"
    )
    options = ["--blink-settings=preferredColorScheme=0"] if dark else []
    shown = re.search(
        r"<body>(\{.*\})</body>", chromium(tmp_path, *options, "--dump-dom", probe.as_uri()), re.S
    )
    assert shown, "the page's script did not come to its end"
    told = json.loads(unescape(shown[1]))
    for width, seen in told.items():
        assert seen["scrolls"] <= int(width), "wider than the screen"
        assert (seen["broken"], seen["fetched"]) == (0, 0)
        assert seen["images"] > seen["sliders"] > 1
        assert seen["plots"] >= 10
        insets = [
            float(re.findall(r"([\d.]+)(?:%|px)", at)[1 if "0px" in at[:10] else 0]) for at in seen["at"]
        ]
        assert insets == pytest.approx([50, 90, 10]), seen["at"]
        paper, ink = (sum(map(int, re.findall(r"\d+", seen[part])[:3])) for part in ("paper", "ink"))
        assert (paper < ink) == dark
    assert told[str(PHONE)]["columns"] < told[str(DESK)]["columns"]


WIDTHS = """<!doctype html><body><script>
const frame = document.createElement("iframe");
frame.style.cssText = "width:1400px;height:900px;border:0";
frame.onload = () => {
  const told = [...frame.contentDocument.querySelectorAll(".wide")].map(
    part => [part.getAttribute("aria-label"), part.scrollWidth, part.clientWidth]);
  document.body.textContent = JSON.stringify(told);
};
frame.srcdoc = PAGE;
document.body.append(frame);
</script></body>"""


def test_the_papers_tables_fit_a_screen_of_1400_pixels(tmp_path):
    """All subsets with every metric, beside the published figures."""
    bad = Scores(28.16, 1345.54, 12051.61, 0.9512)
    rows = [
        PictureScores("strict", model, subset, f"{subset}{number}", 0.02 + 0.1 * number, bad)
        for model in (COMPOSITE, "glihamba-tiny, best of 3")
        for subset in SUBSETS
        for number in range(3)
    ]
    page = report.evaluation(rows, [], {COMPOSITE: None}, "iharmony4", beside=True)
    report.write(page, tmp_path / "page.html")
    html = json.dumps((tmp_path / "page.html").read_text("utf-8")).replace("</", "<\\/")
    (tmp_path / "widths.html").write_text(WIDTHS.replace("PAGE", html), "utf-8")
    shown = re.search(
        r"<body>(\[.*\])</body>", chromium(tmp_path, "--dump-dom", (tmp_path / "widths.html").as_uri()), re.S
    )
    assert shown
    told = json.loads(unescape(shown[1]))
    assert len(told) >= 3
    assert [each for each in told if each[1] > each[2]] == []


def test_screenshots_are_kept(pages, tmp_path):
    kept = REPOSITORY / "build" / "report"
    kept.mkdir(parents=True, exist_ok=True)
    for name, size in (("evaluate", "1280,3000"), ("compare", "1280,2400")):
        picture = kept / f"{name}.png"
        picture.unlink(missing_ok=True)
        chromium(tmp_path, f"--window-size={size}", f"--screenshot={picture}", pages[name].as_uri())
        assert picture.stat().st_size > 50_000


def test_the_page_needs_nothing_else(pages):
    for page in pages.values():
        html = page.read_text("utf-8")
        assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
        assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|url\(", html)
        assert not list(page.parent.glob("*.part"))


def test_every_figure_has_its_protocol_and_number_of_pictures(pages):
    for page in pages.values():
        html = page.read_text("utf-8")
        captions = re.findall(r"<figcaption>(.*?)</figcaption>", html)
        plots = [text for text in captions if "under protocol" in text]
        assert len(plots) == html.count("<svg")
        assert all(re.search(r"of 5 pictures under protocol (strict|gtbg)", text) for text in plots)
        titles = [
            t
            for t in re.findall(r'<div class="wide"[^>]*aria-label="([^"]*)"', html)
            if "complexity" not in t
        ]
        assert len(titles) >= 2
        assert all(re.search(r"5 pictures", title) for title in titles)
        assert all("rotocol" in title for title in titles)
        cases = re.findall(r'<p class="note">(val[^<]*)</p>', html)
        assert cases
        assert all("protocol strict: PSNR" in text for text in cases)


def test_names_cannot_break_the_page(rows, tmp_path):
    page = report.Page("<b>&", ["<script>alert(1)</script>"], [report.Section("<i>", [overall(rows)])])
    report.write(page, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "<script>alert" not in html
    assert "&lt;b&gt;&amp;" in html


def row(model, picture, psnr, *, subset="HFlickr", ratio=0.1, protocol="strict", fmse=100.0):
    return PictureScores(protocol, model, subset, picture, ratio, Scores(psnr, fmse * ratio, fmse, 0.9))


def test_tables_hold_the_papers_shape_and_figures():
    measured = [
        row(COMPOSITE, "a", 20, ratio=0.02),
        row(COMPOSITE, "b", 30, subset="HCOCO", ratio=0.5),
        row("ours", "a", 26, ratio=0.02, fmse=50),
        row("ours", "b", 29, subset="HCOCO", ratio=0.5, fmse=150),
    ]
    first = table_1(measured, "strict", beside=True, metrics=("mse", "psnr"))
    assert [group for group, _ in first.groups()] == [
        *("HCOCO (1)", "HAdobe5k (0)", "HFlickr (1)", "Hday2night (0)", "all (2)")
    ]
    ours, sun = ({line.method: line for line in first.lines}[name] for name in ("ours", "glihamba"))
    assert ours.values == (75.0, 29.0, None, None, 1.0, 26.0, None, None, 38.0, 27.5)
    assert sun.values == (12.05, 40.35, 16.53, 40.23, 56.29, 34.56, 43.27, 38.05, 17.58, 39.76)
    assert (sun.pictures, sun.source) == ("7,404", "Sun, Yao, Ban 2024 [5]")
    assert first.note.endswith(
        "[5] glihamba: By its own subsets its total is PSNR 39.63, not the 39.76 that it prints, MSE 18.87,"
        " not the 17.58 that it prints."
    )
    assert "[3] unet: 3 of its 4 subsets have the figures of DoveNet." in first.note
    clean = {line.method: line.source for line in first.lines}
    assert clean["hdnet"] == "Chen et al. 2023 · gtbg", "a line that agrees with itself has no footnote"
    second = table_2(measured, "strict", beside=True)
    assert [group for group, _ in second.groups()] == ["0-5 % (1)", "5-15 % (0)", "15-100 % (1)", "all (2)"]
    assert "MSE 18.87, not the 17.58 that it prints" in second.note
    by_method = {line.method: line.values for line in second.lines}
    assert by_method["ours"] == (1.0, 50.0, None, None, 75.0, 150.0, 38.0, 100.0)
    assert by_method["hdnet"] == (4.35, 199.56, 12.82, 150.45, 49.18, 159.82, 16.55, 179.49)
    everything = overall(measured)
    assert everything.title == "All protocols, 2 pictures each"
    assert everything.lines[1].values[-1] == 1, "b lost a decibel"
    alone = table_1(measured, "strict", beside=False, metrics=("psnr",))
    assert all(not line.source for line in alone.lines)


def test_only_methods_on_the_same_pictures_compete():
    measured = [
        row(COMPOSITE, "a", 50),
        row("one", "a", 20),
        row("two", "a", 21),
        row("two", "a", 40, protocol="gtbg"),
    ]
    best = {(number, index) for number, index in overall(measured).best() if index == 0}
    assert best == {(2, 0)}, "not the composite, and not the only one under its protocol"


def test_differences_by_hand():
    measured = [row("a", str(n), 20, fmse=100) for n in range(4)]
    measured += [row("b", str(n), 20 + gain, fmse=90) for n, gain in enumerate((1, 2, 3, -2))]
    everything = report_compare.table(measured, "strict", "a", "b").lines[0]
    a, b, mean, low, high, median, better = everything.values[:7]
    assert (a, b, mean, median, better) == (20, 21, 1, 1.5, 3)
    assert low is not None
    assert high is not None
    assert -2 <= low < 1 < high <= 3
    assert everything.values[7:] == pytest.approx((100, 90, -10, -10, -10, -10, 4))
    assert report_compare.interval(np.array([1.0, 2.0])) == (None, None)
    wide = np.random.default_rng(1).normal(0.5, 2, 400)
    low, high = report_compare.interval(wide)
    error = wide.std() / 20
    assert (low, high) == pytest.approx((wide.mean() - 1.96 * error, wide.mean() + 1.96 * error), abs=0.05)


def test_many_pictures_are_drawn_as_a_sample():
    svg = distributions({"m": np.linspace(0, 1, 3 * MOST_DOTS).tolist()}, "axis")
    assert svg.count("<circle") == MOST_DOTS
    assert "median 0.50, middle half 0.25 to 0.75" in svg
    assert "<text" in distributions({"all the same": [3.0, 3.0]}, "axis")


def test_costs_are_counted_and_do_not_depend_on_the_kernel(monkeypatch):
    from glihamba.networks import vss
    from glihamba.ops.torch_scan import final_state_torch, ss2d_torch
    from glihamba_training.scoring.complexity import count

    network = build("glihamba-tiny").eval()
    picture = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    with torch.inference_mode():
        fused = count(network, *picture)
        monkeypatch.setattr(vss, "ss2d", ss2d_torch)
        monkeypatch.setattr(vss, "final_state", final_state_torch)
        assert count(network, *picture) == fused
    scan = vss.SelectiveScan(8, 2, 1)  # 4 x 5 pixels of 8 channels, 2 states, rank 1

    class Alone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scan = scan

        def forward(self, composite, mask):
            return self.scan(composite)

    alone: Any = Alone()
    linear = 20 * 8 * 4 * (1 + 2 + 2)
    with torch.inference_mode():
        counted = count(alone, torch.rand(1, 4, 5, 8), torch.zeros(1))
    assert counted == (linear, 4 * 20 * 8 * (9 * 2 + 1))
    assert table_3(measure({"statistics": build("statistics")}, "here", runs=1)).lines[0].values[2] == 0
