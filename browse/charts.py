"""Charts as SVG in the page: numbers in, markup out; colours come from the page's style, so both themes fit.

Shares of each class, not counts: an unbalanced answer must not look like a shortcut. Text is escaped here.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from browse.counts import Distribution

_LEFT, _BELOW = 4, 16


def histogram(found: Distribution, width: int = 320, height: int = 96) -> Markup:
    """Two outlines over the bins, real and fake, each of area one."""
    bars = found.bars
    if not bars:
        return Markup("")
    real, fake = (max(1, sum(bar[i] for bar in bars)) for i in (1, 2))
    tallest = max(max(bar[1] / real, bar[2] / fake) for bar in bars) or 1
    step, floor = (width - 2 * _LEFT) / len(bars), height - _BELOW

    def outline(place: int, total: int) -> str:
        points = [f"M{_LEFT},{floor}"]
        for i, bar in enumerate(bars):
            y = floor - bar[place] / total / tallest * (floor - 4)
            points.append(f"V{y:.1f}H{_LEFT + (i + 1) * step:.1f}")
        return "".join([*points, f"V{floor}"])

    edges = [bar[0] for bar in bars] + [found.end]
    hovers = "".join(
        f'<rect class="hover" x="{_LEFT + i * step:.1f}" y="0" width="{step:.1f}" height="{floor}"><title>'
        f"{escape(edges[i])} to {escape(edges[i + 1])} {escape(found.unit)}: {one:,} real, {other:,} fake"
        "</title></rect>"
        for i, (_, one, other) in enumerate(bars)
    )
    marks = (
        {0: "start", len(bars) // 2: "middle", len(bars): "end"} if len(bars) > 3 else {0: "start", len(bars): "end"}
    )
    words = "".join(
        f'<text x="{_LEFT + i * step:.1f}" y="{height - 3}" text-anchor="{anchor}">{escape(edges[i])}'
        f"{escape(found.unit)}</text>"
        for i, anchor in marks.items()
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(found.name)}">'
        f'<path class="real" d="{outline(1, real)}"/><path class="fake" d="{outline(2, fake)}"/>'
        f'<line class="axis" x1="{_LEFT}" x2="{width - _LEFT}" y1="{floor}" y2="{floor}"/>'
        f"{words}{hovers}</svg>"
    )


def curve(points: Sequence[tuple[float, float]], name: str) -> Markup:
    """A ROC curve: (false positive rate, true positive rate), both from 0 to 1, ascending."""
    side, left, below = 260, 34, 30
    span = side - left - 8

    def at(x: float, y: float) -> str:
        return f"{left + x * span:.1f},{8 + (1 - y) * span:.1f}"

    ticks = "".join(
        f'<text x="{left - 5}" y="{11 + (1 - tick) * span:.0f}" text-anchor="end">{tick:g}</text>'
        f'<text x="{left + tick * span:.0f}" y="{8 + span + 13}" text-anchor="middle">{tick:g}</text>'
        for tick in (0, 0.5, 1)
    )
    return Markup(
        f'<svg class="chart roc" viewBox="0 0 {side} {span + 8 + below}" role="img" aria-label="{escape(name)}">'
        f'<rect class="frame" x="{left}" y="8" width="{span}" height="{span}"/>'
        f'<path class="chance" d="M{at(0, 0)}L{at(1, 1)}"/>'
        f'<path class="line" d="M{"L".join(at(x, y) for x, y in points)}"/>{ticks}'
        f'<text x="{left + span / 2:.0f}" y="{8 + span + 27}" text-anchor="middle">false positive rate</text>'
        f'<text x="10" y="{8 + span / 2:.0f}" text-anchor="middle" transform="rotate(-90 10 {8 + span / 2:.0f})">'
        f"true positive rate</text></svg>"
    )


def share(part: int, whole: int, kind: str) -> Markup:
    """A bar of ``part`` in ``whole``; ``kind``: real or fake."""
    width = 100 * part / whole if whole else 0
    return Markup(
        f'<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="100" height="8"/>'
        f'<rect class="{escape(kind)}" width="{width:.2f}" height="8"/></svg>'
    )
