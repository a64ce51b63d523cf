"""Small pieces of SVG: a canvas, scales, ticks, and the numbers beside them.  Colours are classes of the page's style."""

import html
import math


class Canvas:
    """`title` is what somebody who does not see it is told."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def text(self, x, y, content, kind="", anchor="start"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(str(content))}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def bar(self, x1, y, x2, height, kind, hint=""):
        radius = min(3, max(0, (x2 - x1) / 2))
        self.parts.append(f'<rect x="{x1:.1f}" y="{y:.1f}" width="{max(1, x2 - x1):.1f}" height="{height:.1f}" rx="{radius:.1f}" '
                          f'class="{kind}"><title>{html.escape(hint)}</title></rect>')

    def path(self, points, kind):
        self.parts.append(f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{kind}"/>')

    def mark(self, x, y, shape, kind, hint="", size=4.5):
        """A point whose shape tells subjects apart without colour."""
        if shape == 0:
            body = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" class="{kind}">'
        else:
            corners = {1: ((-1, -1), (1, -1), (1, 1), (-1, 1)), 2: ((0, -1.3), (1.2, 0.9), (-1.2, 0.9)),
                       3: ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)), 4: ((0, 1.3), (1.2, -0.9), (-1.2, -0.9))}[shape % 5]
            points = " ".join(f"{x + dx * size * 0.9:.1f},{y + dy * size * 0.9:.1f}" for dx, dy in corners)
            body = f'<polygon points="{points}" class="{kind}">'
        self.parts.append(f"{body}<title>{html.escape(hint)}</title></{'circle' if shape == 0 else 'polygon'}>")

    def render(self):
        return (f'<svg viewBox="0 0 {self.width} {self.height:.0f}" role="img" aria-label="{html.escape(self.title, quote=True)}">'
                f'{"".join(self.parts)}</svg>')


class Linear:
    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high if high > low else low + 1, start, end

    def __call__(self, value):
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count=5):
        step = 10 ** math.floor(math.log10((self.high - self.low) / count))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (step * factor) <= count)
        return [index * step for index in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]


class Log:
    """Values at or below 0 are drawn at the lower end."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high if high > low else low * 10, start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        return self.start + math.log(value / self.low) / math.log(self.high / self.low) * (self.end - self.start)

    def ticks(self):
        decades = math.log10(self.high / self.low)
        factors = (1, 2, 5) if decades < 2.6 else (1,)
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [10.0**e * f for e in exponents for f in factors if self.low * 0.999 <= 10.0**e * f <= self.high * 1.001]


def around(values, factor=1.25):
    """Ends of a logarithmic axis for these values."""
    good = [value for value in values if value > 0]
    return min(good) / factor, max(good) * factor


def number(value):
    """As a person writes it: three digits, thousands with k, M."""
    if value == 0:
        return "0"
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{float(f'{scaled:.3g}'):g}{unit}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}" if abs(value) < 10 else f"{float(f'{value:.3g}'):g}"


def times(value):
    return f"{value:.0f}×" if value >= 20 else f"{value:.1f}×" if value >= 3 else f"{value:.2f}×"
