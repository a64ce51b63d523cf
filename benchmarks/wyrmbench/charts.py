"""The forms of plots that the report uses."""

from .svg import Canvas, Linear, Log, around, number, times

WIDTH = 960
KNOWN = {"wyrm": 0, "wyrm-engine": 5, "wireguard-go": 1, "floor-io": 2, "floor-aead": 3, "libcrypto": 1, "libcrypto-rekeyed": 5, "batch-avx512": 0,
         "batch-avx2": 4, "batch-ssse3": 3, "batch-sse2": 2}


class Palette:
    """A colour and a shape for each subject; the same in all plots."""

    def __init__(self, subjects):
        free = [4, 5, 6, 7]
        self.index = {name: KNOWN[name] if name in KNOWN else free.pop(0) if free else 7 for name in subjects}

    def colour(self, subject):
        return f"c{self.index.get(subject, 7)}"

    def shape(self, subject):
        return self.index.get(subject, 7) % 5


def bars(title, palette, groups, unit):
    """groups: [(name, [(subject, row)])] as horizontal bars with medians, whiskers from least to most."""
    left, right, thick, gap = 255, 130, 17, 16
    height = 14 + sum(len(entries) * (thick + 4) + gap for _, entries in groups) + 26
    canvas = Canvas(WIDTH, height, title)
    scale = Linear(0, max(row["max"] for _, entries in groups for _, row in entries), left, WIDTH - right)
    for tick in scale.ticks():
        canvas.line(scale(tick), 6, scale(tick), height - 26, "grid")
        canvas.text(scale(tick), height - 8, number(tick) + (f" {unit}" if tick == scale.ticks()[-1] else ""), "tick", "middle")
    y = 10
    for name, entries in groups:
        canvas.text(0, y + thick - 4, name, "group")
        for subject, row in entries:
            hint = f"{subject}, {name}: median {row['median']:g}, {row['min']:g} to {row['max']:g} {unit}, {row['n']} rounds"
            canvas.text(left - 10, y + thick - 4, subject, "name", "end")
            canvas.bar(scale(0), y, scale(row["median"]), thick, palette.colour(subject), hint)
            middle = y + thick / 2
            canvas.line(scale(row["min"]), middle, scale(row["max"]), middle, "whisker")
            canvas.text(scale(row["max"]) + 8, y + thick - 4, number(row["median"]), "value")
            y += thick + 4
        y += gap
    return canvas.render()


def stacked(title, palette, groups, unit):
    """groups: [(name, [(subject, [(part, value)])])]; the second part is paler."""
    left, right, thick, gap = 255, 130, 17, 16
    height = 14 + sum(len(entries) * (thick + 4) + gap for _, entries in groups) + 26
    canvas = Canvas(WIDTH, height, title)
    scale = Linear(0, max(sum(value for _, value in parts) for _, entries in groups for _, parts in entries), left, WIDTH - right)
    for tick in scale.ticks():
        canvas.line(scale(tick), 6, scale(tick), height - 26, "grid")
        canvas.text(scale(tick), height - 8, number(tick) + (f" {unit}" if tick == scale.ticks()[-1] else ""), "tick", "middle")
    y = 10
    for name, entries in groups:
        canvas.text(0, y + thick - 4, name, "group")
        for subject, parts in entries:
            canvas.text(left - 10, y + thick - 4, subject, "name", "end")
            at = 0
            for index, (part, value) in enumerate(parts):
                canvas.bar(scale(at), y, scale(at + value), thick, palette.colour(subject) + (" pale" if index else ""),
                           f"{subject}, {part}: {value:g} {unit}")
                at += value
            canvas.text(scale(at) + 8, y + thick - 4, number(at), "value")
            y += thick + 4
        y += gap
    return canvas.render()


def forest(title, palette, sections):
    """sections: [(heading, [(subject, label, median, worst, best, target)])] in `times better` on a logarithmic axis.  A point is
    hollow where the median misses its target."""
    left, right, step = 250, 190, 25
    height = 12 + sum(42 + step * len(lines) for _, lines in sections) + 24
    canvas = Canvas(WIDTH, height, title)
    values = [1.0] + [value for _, lines in sections for line in lines for value in line[2:] if value]
    scale = Log(*around(values), left, WIDTH - right)
    for tick in scale.ticks():
        canvas.line(scale(tick), 8, scale(tick), height - 24, "grid")
        canvas.text(scale(tick), height - 8, f"{tick:g}×", "tick", "middle")
    canvas.line(scale(1), 8, scale(1), height - 24, "even")
    y = 12
    for heading, lines in sections:
        canvas.text(0, y + 18, heading, "heading")
        y += 42
        for subject, label, median, worst, best, target in lines:
            kind = palette.colour(subject)
            missed = target is not None and median < target * 0.9995
            canvas.text(left - 14, y + 4, label, "name", "end")
            canvas.line(scale(worst), y, scale(best), y, f"range {kind}")
            if target:
                canvas.line(scale(target), y - 8, scale(target), y + 8, "target")
            canvas.mark(scale(median), y, 0, f"{kind}{' hollow' if missed else ''}", f"{label}: {median:.2f} ({worst:.2f} to {best:.2f})", 6)
            canvas.text(WIDTH - right + 16, y + 4, times(median), "value")
            canvas.text(WIDTH - right + 66, y + 4, f"{worst:.2f}–{best:.2f}" if best < 20 else f"{worst:.0f}–{best:.0f}", "tick")
            if target:
                canvas.text(WIDTH, y + 4, f"≥ {target:.3g}", "tick", "end")
            y += step
    return canvas.render()


def spread_labels(wanted, distance, low, high):
    """Heights near those wanted, at least `distance` apart; same order."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    last = low - distance
    for index in order:
        placed[index] = last = max(wanted[index], last + distance)
    limit = high + distance
    for index in reversed(order):
        placed[index] = limit = min(placed[index], limit - distance)
    return placed


def lines(title, palette, series, unit, x_ticks, x_name, width=WIDTH, even=False):
    """series: [(subject, label, [(x, row)])]; whiskers from least to most; labels at the ends of the lines.  `even`: the ticks at
    equal distances, whatever their values."""
    left, right, top, bottom, height = 62, 165, 22, 44, 330
    canvas = Canvas(width, height, title)
    xs = [x for _, _, points in series for x, _ in points]
    every = [row[key] for _, _, points in series for _, row in points for key in ("min", "max")]
    first, last = left + 12, width - right - 14
    x_scale = Log(min(xs), max(xs), first, last)
    if even:
        places = {x: first + (last - first) * index / (len(x_ticks) - 1) for index, x in enumerate(x_ticks)}
        x_scale = places.__getitem__
    y_scale = Log(*around(every), height - bottom, top)
    for tick in y_scale.ticks():
        canvas.line(left, y_scale(tick), width - right, y_scale(tick), "grid")
        canvas.text(left - 8, y_scale(tick) + 4, number(tick), "tick", "end")
    canvas.text(0, 12, unit, "tick")
    free = 0.0
    for tick in x_ticks:
        if x_scale(tick) >= free:  # a number that would stand on the one before is left out
            canvas.text(x_scale(tick), height - bottom + 20, f"{tick:,}", "tick", "middle")
            free = x_scale(tick) + 34
    canvas.text((left + width - right) / 2, height - 4, x_name, "tick", "middle")
    ends = []
    for subject, label, points in series:
        kind = palette.colour(subject)
        canvas.path([(x_scale(x), y_scale(row["median"])) for x, row in points], f"curve {kind}")
        for x, row in points:
            canvas.line(x_scale(x), y_scale(row["min"]), x_scale(x), y_scale(row["max"]), f"range {kind}")
            canvas.mark(x_scale(x), y_scale(row["median"]), palette.shape(subject), kind,
                        f"{label}, {x:g}: {row['median']:g} ({row['min']:g} to {row['max']:g}) {unit}")
        ends.append((subject, label, x_scale(points[-1][0]), y_scale(points[-1][1]["median"])))
    heights = spread_labels([end[3] for end in ends], 17, top, height - bottom)
    for (subject, label, x, y), at in zip(ends, heights):
        canvas.line(x + 7, y, width - right + 10, at, "leader")
        canvas.text(width - right + 14, at + 4, label, f"name t-{palette.colour(subject)}")
    return canvas.render()


def percentiles(title, palette, series, unit, width=WIDTH):
    """series: [(subject, [value at 0, 1/n ... 1])]; the horizontal axis gives each further nine the same room."""
    left, right, top, bottom, height = 62, 135, 22, 44, 330
    canvas = Canvas(width, height, title)
    last = 0.998
    rank = Log(1 - last, 1.0, width - right - 6, left + 8)  # of the part that is slower
    every = [value for _, curve in series for value in curve[:int((len(curve) - 1) * last) + 1]]
    y_scale = Log(*around(every, 1.1), height - bottom, top)
    for tick in y_scale.ticks():
        canvas.line(left, y_scale(tick), width - right, y_scale(tick), "grid")
        canvas.text(left - 8, y_scale(tick) + 4, number(tick), "tick", "end")
    canvas.text(0, 12, unit, "tick")
    for part, name in ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %")):
        canvas.line(rank(1 - part), top, rank(1 - part), height - bottom, "grid")
        canvas.text(rank(1 - part), height - bottom + 20, name, "tick", "middle")
    canvas.text((left + width - right) / 2, height - 4, "part of the answers that came at least as fast", "tick", "middle")
    ends = []
    for subject, curve in series:
        count = len(curve) - 1
        points = [(rank(1 - i / count), y_scale(value)) for i, value in enumerate(curve) if i / count <= last]
        canvas.path(points, f"curve {palette.colour(subject)}")
        for part in (0.5, 0.9, 0.99):
            value = curve[round(part * count)]
            canvas.mark(rank(1 - part), y_scale(value), palette.shape(subject), palette.colour(subject),
                        f"{subject}: {part * 100:g} % within {value:g} {unit}")
        ends.append((subject, *points[-1]))
    heights = spread_labels([end[2] for end in ends], 17, top, height - bottom)
    for (subject, x, y), at in zip(ends, heights):
        canvas.line(x + 4, y, width - right + 10, at, "leader")
        canvas.text(width - right + 14, at + 4, subject, f"name t-{palette.colour(subject)}")
    return canvas.render()


def profile(title, groups, unit):
    """groups: [(name, [(stage, value)])]: where the time goes, a colour for each stage, named above."""
    left, right, thick, gap = 210, 70, 24, 12
    stages = list(dict.fromkeys(stage for _, parts in groups for stage, _ in parts))
    height = 40 + len(groups) * (thick + gap) + 30
    canvas = Canvas(WIDTH, height, title)
    at = float(left)
    for index, stage in enumerate(stages):
        canvas.bar(at, 4, at + 12, 12, f"c{index % 8}")
        canvas.text(at + 17, 15, stage, "tick")
        at += 34 + 7.2 * len(stage)
    scale = Linear(0, max(sum(value for _, value in parts) for _, parts in groups), left, WIDTH - right)
    for tick in scale.ticks():
        canvas.line(scale(tick), 32, scale(tick), height - 26, "grid")
        canvas.text(scale(tick), height - 8, number(tick) + (f" {unit}" if tick == scale.ticks()[-1] else ""), "tick", "middle")
    y = 40.0
    for name, parts in groups:
        canvas.text(left - 10, y + 16, name, "name", "end")
        reached = 0.0
        for stage, value in parts:
            canvas.bar(scale(reached), y, scale(reached + value) - 1, thick, f"c{stages.index(stage) % 8}", f"{name}, {stage}: {value:.0f} {unit}")
            reached += value
        canvas.text(scale(reached) + 8, y + 16, number(reached), "value")
        y += thick + gap
    return canvas.render()
