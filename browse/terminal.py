"""Pictures in a terminal that can show them, told by what such terminals say of themselves in the environment.

Two protocols: kitty's graphics protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol/, spoken by Ghostty
too) and iTerm2's inline images (https://iterm2.com/documentation-images.html, spoken by WezTerm too). A terminal is
not asked: its answer would arrive on standard input. Inside tmux and screen nothing is shown, they keep such sequences.
"""

import base64
from collections.abc import Mapping
from typing import TextIO

_CHUNK = 4096  # bytes of base64 in one sequence, all that kitty's protocol allows


def protocol(environment: Mapping[str, str]) -> str | None:
    """``kitty``, ``iterm2`` or None. ``environment``: of the process, as os.environ."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("tmux", "screen")):
        return None
    if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return None


def show(png: bytes, protocol: str, out: TextIO) -> None:
    """Writes a PNG to the terminal behind ``out``, as wide as it is, or as the terminal."""
    data = base64.standard_b64encode(png).decode()
    if protocol == "iterm2":
        out.write(f"\x1b]1337;File=inline=1;size={len(png)};width=100%:{data}\a\n")
    else:
        chunks = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
        for i, chunk in enumerate(chunks):
            control = "a=T,f=100,q=2," if i == 0 else ""
            out.write(f"\x1b_G{control}m={int(i < len(chunks) - 1)};{chunk}\x1b\\")
        out.write("\n")
    out.flush()
