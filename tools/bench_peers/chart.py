# SPDX-License-Identifier: MIT
"""The report as a drawing: for each model and number of threads the time of every engine, and how
npuenc's compares with it. Plain SVG, written by hand."""

import math
from xml.sax.saxutils import escape

from . import ratios, table

WIDTH = 1080
MARGIN = 24
ROW, GAP, PANEL_GAP = 22, 10, 34
LABEL_END = 270
BARS = (280, 560)
RATIOS = (690, 900)
RATIO_TEXT = 915
TICKS = [0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10]

INK, FAINT, RULE = "#1d2429", "#6a757d", "#d5dade"
OURS, THEIRS = "#0a7d5a", "#9fb0bd"
VERDICTS = {"ahead": "#0a7d5a", "behind": "#b3402a"}


class Drawing:
    """Elements in the order of drawing; the height is known at the end."""

    def __init__(self):
        self.elements = []

    def text(self, x, y, words, anchor="start", colour=INK, size=13, weight="normal"):
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}" font-weight="{weight}">{escape(words)}</text>')

    def bar(self, x, y, width, height, colour, opacity):
        self.elements.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                             f'height="{height:.1f}" rx="2" fill="{colour}" '
                             f'fill-opacity="{opacity}"/>')

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=""):
        self.elements.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                             f'stroke="{colour}" stroke-width="{width}"'
                             + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def dot(self, x, y, radius, colour):
        self.elements.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def document(self, height, title):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'width="{WIDTH}" height="{height:.0f}" role="img" '
            'font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            *self.elements, "</svg>", ""])


class RatioAxis:
    """Logarithmic, so that half and double lie as far from 1."""

    def __init__(self, comparisons):
        ends = [1.25, 0.8]
        for comparison in comparisons:
            ends += [comparison[name] for name in ("median", "low", "high")
                     if comparison.get(name)]
        reach = min(10, 1.05 * max(max(ends), 1 / min(ends)))
        self.scale = (RATIOS[1] - RATIOS[0]) / 2 / math.log(reach)
        self.ticks = [tick for tick in TICKS if 1 / reach <= tick <= reach]
        if len(self.ticks) > 5:
            self.ticks = [tick for tick in self.ticks if tick not in (0.8, 1.25)]

    def x(self, ratio):
        middle = (RATIOS[0] + RATIOS[1]) / 2
        return min(max(middle + self.scale * math.log(ratio), RATIOS[0]), RATIOS[1])


def draw_ratio(drawing, axis, y, comparison):
    if comparison.get("median") is None:
        words = ("npuenc: not supported" if comparison["verdict"] == "not supported" else
                 "no quiet pair")
        drawing.text(RATIO_TEXT, y + 4, words, colour=FAINT, size=12)
        return
    colour = VERDICTS.get(comparison["verdict"], FAINT)
    text = f"{comparison['median']:.3f}"
    if comparison["low"] is not None:
        drawing.line(axis.x(comparison["low"]), y, axis.x(comparison["high"]), y, colour, 3)
        text += f" [{comparison['low']:.3f}, {comparison['high']:.3f}]"
    if comparison["verdict"] == "too few":
        text += f" of {comparison['ratios']}"
    drawing.dot(axis.x(comparison["median"]), y, 4.5, colour)
    drawing.text(RATIO_TEXT, y + 4, text, colour=colour, size=12)


def draw_engine(drawing, axis, y, row, comparison, longest):
    ours = row["engine"] == "npuenc"
    drawing.text(LABEL_END, y + 4, row["title"], "end", OURS if ours else INK,
                 weight="bold" if ours else "normal")
    if "error" in row:
        drawing.text(BARS[0], y + 4, row["kind"], colour=FAINT, size=12)
    else:
        width = (BARS[1] - BARS[0]) * row["median_ms"] / longest
        drawing.bar(BARS[0], y - ROW / 2 + 4, width, ROW - 8, OURS if ours else THEIRS,
                    1 if row["quiet_runs"] else 0.4)
        drawing.text(BARS[0] + width + 6, y + 4, table.time_text(row, "median_ms", ".1f") + " ms",
                     size=12)
    if comparison is not None:
        draw_ratio(drawing, axis, y, comparison)


def draw_panel(drawing, axis, y, title, members):
    """Groups of one model and number of threads; where the next panel begins."""
    drawing.text(MARGIN, y, title, size=16, weight="bold")
    drawing.text(BARS[0], y, "median time of one window", colour=FAINT, size=12)
    drawing.text(RATIOS[0], y, "npuenc's time : the engine's", colour=FAINT, size=12)
    top = y + 12
    rows = sum(len(group_rows) for _, group_rows, _ in members)
    bottom = top + rows * ROW + (len(members) - 1) * GAP
    for tick in axis.ticks:
        drawing.line(axis.x(tick), top, axis.x(tick), bottom + 4, FAINT if tick == 1 else RULE,
                     1.2 if tick == 1 else 1, "" if tick == 1 else "2 3")
        drawing.text(axis.x(tick), bottom + 18, f"{tick:g}", "middle", FAINT, 11)
    times = [row["median_ms"] for _, group_rows, _ in members for row in group_rows
             if "error" not in row]
    y = top + ROW / 2
    for i, (precision, group_rows, compared) in enumerate(members):
        if i:
            drawing.line(MARGIN, y - ROW / 2 + GAP / 2, RATIO_TEXT + 130, y - ROW / 2 + GAP / 2,
                         RULE)
            y += GAP
        drawing.text(MARGIN, y + 4, precision, colour=FAINT, weight="bold")
        for row in group_rows:
            draw_engine(drawing, axis, y, row, compared[row["title"]], max(times, default=1))
            y += ROW
    return bottom + 18 + PANEL_GAP


def render(report):
    """The encoders' part of the report as a document."""
    drawing, panels = Drawing(), {}
    for (model, threads, precision), rows, compared in table.groups(report):
        panels.setdefault((model, threads), []).append((precision, rows, compared))
    machine = report["machine"]
    title = "npuenc beside other engines: Whisper's encoder, one window of 30 s"
    drawing.text(MARGIN, 34, title, size=19, weight="bold")
    drawing.text(MARGIN, 54, f"{machine['cpu']}, {machine['cores']} cores"
                 f"{', virtual' if machine['hypervisor'] else ''}; {table.versions_text(report)}",
                 colour=FAINT, size=12)
    drawing.text(MARGIN, 71, "Left of 1 npuenc is faster. Dot: median of adjacent runs, line: its "
                 f"{100 * ratios.CONFIDENCE:.0f} % interval, grey: neither is shown to be faster. "
                 "~, pale: the machine was busy.", colour=FAINT, size=12)
    y = 106
    axis = RatioAxis(report.get("comparisons", []))
    for (model, threads), members in panels.items():
        y = draw_panel(drawing, axis, y, f"{model}, {threads} thread{'s' if threads > 1 else ''}",
                       members)
    if not panels:
        drawing.text(MARGIN, y, "no encoder was timed", colour=FAINT)
        y += PANEL_GAP
    return drawing.document(y - 10, title)
