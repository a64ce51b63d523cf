"""The report: one HTML file with its plots, nothing fetched from anywhere."""

import html
import os

from . import charts, machine, targets
from .sections import SECTIONS, Data
from .svg import number, times

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "style.css")
HEADINGS = {"wireguard-go": "Times better than wireguard-go", "floor-aead": "Times the floor: I/O and one AEAD pass per packet",
            "floor-io": "Times the floor: I/O alone", "libcrypto": "Crypto: times faster than libcrypto, packet by packet"}
# What the tiles at the top show: label of a comparison, against, what to say.
TILES = (("TCP, one stream", "wireguard-go", "the throughput of wireguard-go, one TCP stream"),
         ("CPU time per GB", "wireguard-go", "less CPU time per byte than wireguard-go"),
         ("ping, idle, median", "wireguard-go", "shorter round trips than through wireguard-go, median"),
         ("TCP, one stream", "floor-io", "of the rate that input and output alone allow"))


def colours():
    rules = [f"svg .c{i} {{ fill: var(--c{i}); stroke: var(--c{i}); }}" for i in range(8)]
    rules += [f"svg .curve.c{i} {{ fill: none; }} svg .hollow.c{i} {{ fill: var(--card); }} svg .t-c{i} {{ fill: var(--c{i}); }} "
              f"svg rect.c{i} {{ stroke: none; }}" for i in range(8)]
    return "\n".join(rules)


def headline(compared):
    found = {(label, against): median for _, against, label, median, *_ in compared}
    speed, cost = found.get(("TCP, one stream", "wireguard-go")), found.get(("CPU time per GB", "wireguard-go"))
    if speed and cost:
        return f"Wyrm moves {times(speed).rstrip('×')} times what wireguard-go moves, for {part(cost)} of the CPU time per byte"
    return "Tunnels measured side by side"


def part(value):
    """One of so many, in words as far as they read well."""
    words = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth", 10: "tenth",
             11: "eleventh", 12: "twelfth"}
    return f"one {words[round(value)]}" if round(value) in words else f"1/{round(value)}" if value >= 1.5 else f"{1 / value:.0%}"


def tiles(compared):
    cards = []
    for label, against, words in TILES:
        for _, other, name, median, worst, best, _ in compared:
            if (name, other) == (label, against):
                shown = f"{median * 100:.0f} %" if against == "floor-io" else times(median)
                ends = (f"{worst * 100:.0f} to {best * 100:.0f} %" if against == "floor-io"
                        else f"{times(worst)} to {times(best)}")
                cards.append(f'<div class="tile"><b>{shown}</b><span>{words}</span><small>{ends} over the rounds</small></div>')
    return f'<div class="tiles">{"".join(cards)}</div>' if cards else ""


def ratios(data, compared):
    groups = {}
    for subject, against, *line in compared:
        groups.setdefault(against, []).append((subject, *line))
    if not groups:
        return ""
    plot = charts.forest("Ratios with spread", data.palette,
                         [(HEADINGS.get(against, f"Times better than {against}"), lines) for against, lines in groups.items()])
    with_target = [line for line in compared if line[6]]
    met = sum(1 for line in with_target if line[3] >= line[6] * 0.9995)
    said = f"{met} of the {len(with_target)} ratios with a target reach it." if with_target else ""
    return (f"<section><h2>The ratios</h2><p>Right of 1× is better, whatever is measured: more throughput, less time, less CPU. "
            f"{said}</p>{plot}<p class=\"note\">Point: median of the rounds; band: from the worst round to the best; upright "
            f"mark: target; hollow: the median misses it.</p>{limits(data)}</section>")


def limits(data):
    lines = []
    for row, kind, limit, what, holds in targets.limits(data.result):
        shown = f"{row['median'] * 100:.0f} %" if kind == "least" else number(row["median"])
        bound = f"at least {limit * 100:.0f} %" if kind == "least" else f"at most {limit:g}"
        lines.append(f'<li class="{"yes" if holds else "no"}"><b>{shown}</b> {html.escape(what)} '
                     f'<span class="note">(target: {bound}; {row["min"]:.3g} to {row["max"]:.3g})</span></li>')
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def everything(result):
    lines = "".join(
        f'<tr><td>{html.escape(row["test"])}</td><td>{html.escape(row["metric"])}</td><td>{html.escape(row["subject"])}</td>'
        f'<td class="n">{row["median"]:g}</td><td class="n">{row["min"]:g}</td><td class="n">{row["max"]:g}</td>'
        f'<td class="n">{row["n"]}</td><td>{html.escape(row["unit"])}</td></tr>' for row in result["rows"])
    return ('<section><details><summary>Every figure</summary><div class="scroll"><table><tr><th>test</th><th>metric</th>'
            '<th>subject</th><th class="n">median</th><th class="n">least</th><th class="n">most</th><th class="n">rounds</th>'
            f'<th>unit</th></tr>{lines}</table></div></details></section>')


def page(result):
    """The whole document for what --json writes."""
    data = Data(result)
    compared = targets.compared(result)
    with open(STYLE, encoding="utf-8") as file:
        style = file.read()
    sections = "".join(f"<section><h2>{html.escape(title)}</h2><p>{html.escape(sentence)}</p>{plot}</section>"
                       for title, sentence, plot in filter(None, (make(data) for make in SECTIONS)))
    failures = "".join(f"<li class=\"no\">{html.escape(text)}</li>" for text in result["failures"])
    failed = f"<section><h2>What was not measured</h2><ul>{failures}</ul></section>" if failures else ""
    few = ("<p class=\"about\">Fewer than five rounds: a first look only.</p>" if result["machine"].get("rounds", 0) < 5 else "")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wyrm measured</title><style>
{style}{colours()}
</style></head><body><main>
<h1>{html.escape(headline(compared))}</h1>
<p class="about">{html.escape(machine.sentence(result["machine"]))}. The same implementation at both ends of a virtual cable between
two network namespaces, MTU 1420, measured in turn round by round: the ratios are formed within each round and hold when the
machine has other work; absolute figures belong to this machine and this hour.</p>{few}
{tiles(compared)}{ratios(data, compared)}{sections}{failed}{everything(result)}
<footer>Made by <code>./bench --html</code>. Wyrm runs in nthost, on Linux; nothing here was measured on Windows. floor-io and
floor-aead are programs without a protocol: what a tunnel in user space needs at least, without and with one libcrypto
ChaCha20-Poly1305 pass per packet.</footer>
</main></body></html>
"""
