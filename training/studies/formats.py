"""A table as Markdown, as CSV and as LaTeX (booktabs): the same rows, with more or less beside each figure."""

import csv
import io
from pathlib import Path
from typing import Any

from training.studies.tables import Cell, Table

_PARTS = ("value", "low", "high", "deviation", "paper", "distance")
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
})  # fmt: skip


def write_tables(tables: list[Table], folder: Path) -> list[Path]:
    """Write every table as .md, .csv and .tex; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table in tables:
        for suffix, text in (("md", markdown(table)), ("csv", as_csv(table)), ("tex", latex(table))):
            files.append(folder / f"{table.name}.{suffix}")
            files[-1].write_text(text, encoding="utf-8")
    return files


def _figure(cell: Cell) -> str:
    """``54.55 ± 1.20 [50.1, 58.9]``"""
    text = f"{cell.value:z.2f}"
    if cell.deviation is not None:
        text += f" ± {cell.deviation:.2f}"
    return text if cell.low is None else f"{text} [{cell.low:z.1f}, {cell.high:z.1f}]"


def _paper(cell: Cell) -> str:
    """``51.15, +3.40``: the paper's figure and the distance from it."""
    return f"{cell.paper:.2f}, {cell.distance:+z.2f}"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def markdown(table: Table) -> str:
    """A pipe table; a cell's second line is the paper's figure and the distance."""

    def shown(value: Any) -> str:
        if not isinstance(value, Cell):
            return _plain(value)
        return _figure(value) + (f"<br>paper {_paper(value)}" if value.paper is not None else "")

    lines = [f"**{table.title}**", "", _pipes(table.columns), _pipes(["---"] * len(table.columns))]
    lines += [_pipes(map(shown, row)) for row in table.rows]
    return "\n".join([*lines, "", *(f"{note}\n" for note in table.notes)])


def _pipes(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def as_csv(table: Table) -> str:
    """Each figure as six columns (value, low, high, deviation, paper, distance), unrounded."""
    figures = [any(isinstance(row[place], Cell) for row in table.rows) for place in range(len(table.columns))]
    heads: list[str] = []
    for name, wide in zip(table.columns, figures, strict=True):
        heads += [name, *(f"{name} {part}" for part in _PARTS[1:])] if wide else [name]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    for row in table.rows:
        line: list[Any] = []
        for value, wide in zip(row, figures, strict=True):
            if wide:
                line += [getattr(value, part) for part in _PARTS] if isinstance(value, Cell) else [None] * len(_PARTS)
            else:
                line.append(value)
        writer.writerow("" if value is None else value for value in line)
    return out.getvalue()


def latex(table: Table) -> str:
    """A table with booktabs; under each row a small one with the paper's figures and the distances."""

    def line(cells: list[str]) -> str:
        return f"{' & '.join(cells)} \\\\"

    align = "".join("r" if any(isinstance(row[i], Cell | int) for row in table.rows) else "l"
                    for i in range(len(table.columns)))  # fmt: skip
    lines = [r"\begin{table}", r"\centering\scriptsize", rf"\caption{{{_tex(table.title)}}}"]
    lines += [rf"\begin{{tabular}}{{{align}}}", r"\toprule", line([_tex(name) for name in table.columns]), r"\midrule"]
    for row in table.rows:
        lines.append(line([_tex(_figure(value) if isinstance(value, Cell) else _plain(value)) for value in row]))
        if any(isinstance(value, Cell) and value.paper is not None for value in row):
            known = [value if isinstance(value, Cell) and value.paper is not None else None for value in row]
            lines.append(line([rf"\textit{{{_tex(_paper(cell))}}}" if cell else "" for cell in known]))
    lines += [r"\bottomrule", r"\end{tabular}", *(rf"\par {_tex(note)}" for note in table.notes), r"\end{table}"]
    return "\n".join([*lines, ""])


def _tex(text: str) -> str:
    return text.translate(_LATEX)
