"""The pictures of both questions: similarities in bands, heat maps beside faces, and neurons that sets have in common.

Drawn from the tables of heatmaps.py and neurons.py, without pyplot, so that no display is needed and no state kept. The
colours of the bands are the paper's (figure 3); the level of chance stands beside every bar of figure 5.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from training.explain.heatmaps import BANDS, Example, bands

_BAND_COLOURS = {"dissimilar": "#c8372d", "between": "#ee9b2e", "similar": "#3a9148"}
_BAND_NAMES = {
    "dissimilar": f"SSIM below {BANDS[0]}",
    "between": f"{BANDS[0]} to {BANDS[1]}",
    "similar": f"above {BANDS[1]}",
}
_TIMES = colormaps["YlGn"](np.linspace(0.25, 0.85, 5))
# the regions of the 68 points of iBUG 300-W (Sagonas et al. 2013), and whether their outline is closed
_REGIONS = (
    (range(17), False),  # jaw
    (range(17, 22), False),  # eyebrows
    (range(22, 27), False),
    (range(27, 31), False),  # bridge and wings of the nose
    (range(31, 36), False),
    (range(36, 42), True),  # eyes
    (range(42, 48), True),
    (range(48, 60), True),  # lips
    (range(60, 68), True),
)


def similarities(
    path: str | Path, panels: Mapping[str, Mapping[str, pa.Table]], columns: int = 2, dpi: int = 150
) -> Path:
    """Figure 3: for each panel (a detector and its training set) and each test set the shares of the three bands.

    `panels`: title -> test set -> table of heatmaps.congenetic. The part of the topmost column that is due to two or
    more maps without any heat, whose similarity is 1, is hatched. Returns `path` (.png, .pdf or .svg by its name).
    """
    figure, axes = _grid(len(panels), columns, (5.2, 2.7))
    for panel, (title, tables) in zip(axes, panels.items(), strict=True):
        for place, table in enumerate(tables.values()):
            _banded(panel, place, table)
        panel.set_xticks(range(len(tables)), [f"{name}\n({table.num_rows:,})" for name, table in tables.items()])
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_ylim(0, 113)
        panel.set_yticks(range(0, 101, 25))
        panel.set_ylabel("% of the fakes")
        _plain(panel)
    handles = [Patch(color=_BAND_COLOURS[band], label=name) for band, name in _BAND_NAMES.items()]
    handles.append(Patch(facecolor="white", edgecolor="#444444", hatch="////", label="two maps or more without heat"))
    return _save(figure, path, handles, dpi)


def _banded(panel: Axes, place: int, table: pa.Table) -> None:
    means = table["mean"].to_numpy()
    cold = table["zero_maps"].to_numpy() >= 2
    shares = bands(means)
    without = {
        "dissimilar": float((cold & (means < BANDS[0])).mean()),
        "similar": float((cold & (means > BANDS[1])).mean()),
    }
    without["between"] = float(cold.mean()) - sum(without.values())
    for number, (band, share) in enumerate(shares.items()):
        at = place + (number - 1) * 0.27
        panel.bar(at, 100 * share, 0.25, color=_BAND_COLOURS[band])
        if without[band] > 0:
            panel.bar(at, 100 * without[band], 0.25, color="none", edgecolor="white", hatch="////", linewidth=0)
        panel.text(at, 100 * share + 1.5, f"{100 * share:.1f}".removesuffix(".0"), ha="center", fontsize=6.5)


def sheet(path: str | Path, rows: Sequence[Example], title: str | None = None, dpi: int = 150) -> Path:
    """Figure 2: a line for each face, the face with the outlines of its landmarks first, then every detector's map
    with the same outlines. Without the 68 points of iBUG the points themselves are drawn. Returns `path`.
    """
    names = list(rows[0].maps)
    wide, high = len(names) + 1, len(rows)
    figure = Figure(figsize=(1.5 * wide, 1.5 * high + (0.7 if title else 0.35)), dpi=dpi)
    axes = figure.subplots(high, wide, squeeze=False)
    for line, example in enumerate(rows):
        for panel, picture in zip(axes[line], [example.face, *(example.maps[name] for name in names)], strict=True):
            panel.imshow(picture, interpolation="nearest")
            if example.landmarks is not None:
                _outlines(panel, example.landmarks)
            panel.set_xlim(-0.5, picture.shape[1] - 0.5)
            panel.set_ylim(picture.shape[0] - 0.5, -0.5)
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
        axes[line][0].set_ylabel(example.method, fontsize=8)
    for panel, name in zip(axes[0], ["face", *names], strict=True):
        panel.set_title(name, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=10)
    room = 0.35 / figure.get_figheight() if title else 0
    figure.tight_layout(pad=0.4, h_pad=0.3, w_pad=0.3, rect=(0, 0, 1, 1 - room))
    figure.savefig(path)
    return Path(path)


def _outlines(panel: Axes, landmarks: np.ndarray) -> None:
    """Thin white lines on a dark rim, to be seen on a face and on every colour of a map."""
    if len(landmarks) != 68:
        panel.plot(*landmarks.T, "o", markersize=2.5, color="white", markeredgecolor="black", markeredgewidth=0.4)
        return
    for region, closed in _REGIONS:
        points = landmarks[[*region, *region[:1]] if closed else list(region)]
        panel.plot(*points.T, color="black", linewidth=1.3, alpha=0.55)
        panel.plot(*points.T, color="white", linewidth=0.6)


def overlapping(path: str | Path, panels: Mapping[str, pa.Table], columns: int = 3, dpi: int = 150) -> Path:
    """Figure 5: for each panel (a detector) and each top how many neurons are in it on 1, 2, ... of the test sets, and
    as a black line how many chance would give. `panels`: title -> table of neurons.overlaps. Returns `path`.
    """
    figure, axes = _grid(len(panels), columns, (4.6, 2.6))
    times: list[int] = []
    for panel, (title, table) in zip(axes, panels.items(), strict=True):
        tops = list(dict.fromkeys(table["top"].to_pylist()))
        times = sorted(set(table["times"].to_pylist()))
        wide = 0.85 / len(times)
        for row in table.to_pylist():
            at = tops.index(row["top"]) + (times.index(row["times"]) - (len(times) - 1) / 2) * wide
            panel.bar(at, row["neurons"], 0.92 * wide, color=_colour(row["times"], len(times)))
            panel.plot([at - wide / 2, at + wide / 2], [row["expected"]] * 2, color="black", linewidth=1.2)
            panel.text(at, row["neurons"], row["neurons"], ha="center", va="bottom", fontsize=6)
        panel.set_xticks(range(len(tops)), [f"top {top}" for top in tops])
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_ylabel("neurons")
        panel.margins(y=0.12)
        _plain(panel)
    sets = max(times, default=0)
    handles = [Patch(color=_colour(each, sets), label=f"in {each} of {sets} sets") for each in times]
    handles.append(Line2D([], [], color="black", linewidth=1.2, label="by chance"))
    return _save(figure, path, handles, dpi)


def _colour(times: int, sets: int):
    return _TIMES[round((times - 1) / max(sets - 1, 1) * (len(_TIMES) - 1))]


def _grid(panels: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    columns = min(columns, max(panels, 1))
    lines = max(-(-panels // columns), 1)
    figure = Figure(figsize=(size[0] * columns, size[1] * lines + 0.4))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for spare in axes[panels:]:
        spare.set_visible(False)
    return figure, list(axes[:panels])


def _plain(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)
    panel.yaxis.label.set_size(8)
    panel.set_axisbelow(True)
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)


def _save(figure: Figure, path: str | Path, handles: list, dpi: int) -> Path:
    figure.tight_layout(rect=(0, 0.45 / figure.get_figheight(), 1, 1))
    ncols = min(len(handles), max(1, int(figure.get_figwidth() / 1.6)))  # what a name of this size needs, in inches
    figure.legend(handles=handles, loc="lower center", ncols=ncols, fontsize=8, frameon=False)
    figure.savefig(path, dpi=dpi)
    return Path(path)
