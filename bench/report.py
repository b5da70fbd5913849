#!/usr/bin/env python3
"""Charts and a table from what spkbench measured, on one machine or several.

    spkbench microcircuit --json >>desk.json        (any subcommand, as often as you like)
    python3 bench/report.py desk.json laptop=other.json --out report

Each file holds JSON lines of one machine; NAME=FILE names it, else its CPU does. Results of the same
measurement are put together: their median counts, the least and the most are shown. Writes
report.md, which shows the charts, and the charts as SVG. Needs nothing but Python 3.
"""
import argparse
import json
import math
import os
import sys
import textwrap
from xml.sax.saxutils import escape

# Figures that each subcommand's table has: key, words, and whether less is better. Others have all
# their keys that end in _per_s.
NETWORK = [
    ("rtf", "real-time factor", True),
    ("build_s", "construction, s", True),
    ("bytes_per_synapse", "bytes a synapse, all in", True),
    ("events_per_s", "synaptic events a second", False),
    ("ns_per_event", "ns an event", True),
    ("adds_share", "share of scattered adds", False),
    ("triad_share", "share of the triad", False),
    ("outside_share", "outside delivery and update", True),
    ("beside_ratio", "beside busy loops, times the quiet figure", True),
    ("others_share", "other programs' share of the CPUs meanwhile", True),
    ("peak_rss_mb", "peak memory, MB", True),
]
FIGURES = {
    **dict.fromkeys(["microcircuit", "brunel", "coba", "cuba", "izhikevich"], NETWORK),
    "neurons": [
        ("neuron_steps_per_s", "neuron-steps a second", False),
        ("l2_share", "share of vectors in L2", False),
        ("triad_share", "share of the triad", False),
        ("inplace_share", "share of updates in place", False),
    ],
    "build": [
        ("build_s", "construction, s", True),
        ("synapses_per_s", "synapses a second", False),
        ("bytes_per_synapse", "bytes a synapse, all in", True),
    ],
    "scale": [
        ("ns_per_event", "ns an event", True),
        ("deliver_ns_per_event", "ns of a thread to file and deliver it", True),
        ("build_s", "construction, s", True),
        ("peak_mb", "peak memory, MB", True),
    ],
    "idle": [("us_per_step", "us a step", True)],
}
# What tells two measurements of one subcommand apart: these numbers, and texts but for MACHINE's.
APART = ["scale", "threads", "precision_bits", "weight_bits"]
APART_OF = {"ring": ["slots"], "neurons": ["neurons"], "idle": ["neurons"], "scale": ["synapses"]}
USUAL = {"scale": 1, "precision_bits": 32, "weight_bits": 16, "drive": "poisson", "backend": "cpu"}
MACHINE = ["benchmark", "version", "compiler", "cpu", "isa", "digest"]
PARTS = [("file", "filing"), ("deliver", "delivery"), ("input", "inputs"), ("update", "update"),
         ("record", "recorders"), ("wait", "waiting")]
COLOURS = ["#2b6cb0", "#dd8a1f", "#3a8f5c", "#b83280", "#6b5bb3", "#7a7a7a", "#c4473a", "#1f9aa8"]


class Wrong(Exception):
    pass


# -- reading --

def read(argument):
    """The results of one file, each with the name of its machine."""
    name, _, path = argument.partition("=") if "=" in argument else ("", "", argument)
    results = []
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    one = json.loads(line)
                except ValueError:
                    raise Wrong(f"{path}:{number}: this is no JSON (spkbench prints it with --json)")
                if not isinstance(one, dict) or "benchmark" not in one:
                    raise Wrong(f"{path}:{number}: this is no result of spkbench")
                one["machine"] = name or one.get("cpu", path)
                results.append(one)
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{path}: {error}")
    return results


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def short(x, digits=3):
    """1234567 -> 1.23 M."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(x) >= unit:
            unit = 1e3 if unit == 1e4 else unit
            return f"{x / unit:.{digits}g}{name}" if x / unit < 1000 else f"{x / unit:.0f}{name}"
    return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.{digits}g}"


def figures_of(one):
    listed = FIGURES.get(one["benchmark"])
    if listed:
        return [f for f in listed if is_number(one.get(f[0]))]
    return [(key, key.replace("_per_s", "").replace("_", " ") + " a second", False)
            for key, x in one.items()
            if key.endswith("_per_s") and not key.startswith("limit_") and is_number(x)]


def measurement_of(one):
    """What was measured, as words: the same for results that may be put together."""
    words = [one["benchmark"]]
    apart = APART + APART_OF.get(one["benchmark"], [])
    for key, x in one.items():
        if key in MACHINE or key == "machine" or USUAL.get(key) == x:
            continue
        if isinstance(x, str):
            if x in ("yes", "no"):
                x = key if x == "yes" else "not " + key
            words.insert(1, os.path.basename(x) if key == "recording" else x)
        elif key == "scale" and is_number(x):
            words.append(f"scale {x:g}")
        elif key in apart and is_number(x):
            unit = "thread" if key == "threads" and x == 1 else key.replace("_bits", " bits")
            words.append(f"{short(x)} {unit}")
    threads = [w for w in words if w.endswith((" thread", " threads"))]
    return ", ".join([w for w in words if w not in threads] + threads)


def column_names(results):
    """A column for each machine, compiler and instruction set; names say what differs."""
    keys = ["machine", "isa", "compiler", "version"]
    columns = []
    for one in results:
        column = tuple(str(one.get(key, "")) for key in keys)
        if column not in columns:
            columns.append(column)
    differ = [k for k in range(len(keys)) if k == 0 or len({c[k] for c in columns}) > 1]
    return {c: ", ".join(c[k] for k in differ) for c in columns}


class Table:
    """values[measurement][key][column]: what all runs gave, in order of appearance."""

    def __init__(self, results):
        names = column_names(results)
        self.columns = list(dict.fromkeys(names.values()))
        self.values, self.figures, self.first = {}, {}, {}
        for one in results:
            column = names[tuple(str(one.get(k, "")) for k in
                                 ("machine", "isa", "compiler", "version"))]
            name = measurement_of(one)
            self.first.setdefault((name, column), []).append(one)
            for key, words, less in figures_of(one):
                self.figures[name, key] = (words, less)
                cells = self.values.setdefault(name, {}).setdefault(key, {})
                cells.setdefault(column, []).append(float(one[key]))

        kinds = list(dict.fromkeys(one["benchmark"] for one in results))
        order = sorted(self.values, key=lambda n: kinds.index(n.split(",")[0]))
        self.values = {name: self.values[name] for name in order}

    def measurements(self, *benchmarks):
        return [n for n in self.values if n.split(",")[0] in benchmarks]


def median(values):
    v = sorted(values)
    return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2


# -- Markdown --

def cell(values, first, less):
    if not values:
        return ""
    text = short(median(values))
    if len(values) > 1:
        text += f" ({short(min(values))} to {short(max(values))}, {len(values)} runs)"
    if first and values is not first and median(first) > 0 and median(values) > 0:
        ratio = median(values) / median(first)
        good = (ratio < 1) == less
        text += f"; {ratio:.{2 if ratio < 10 else 0}f} times" + ("" if 0.995 < ratio < 1.005 else
                                                             " (better)" if good else " (worse)")
    return text


def markdown(table, charts):
    out = ["# What spkbench measured", ""]
    out += [f"![{words}]({path})\n" for path, words in charts]
    out += ["Medians, and in brackets the least and the most of several runs. Other columns are "
            "compared with the first." if len(table.columns) > 1 else
            "Medians, and in brackets the least and the most of several runs.", ""]
    out += ["| measurement | figure | " + " | ".join(table.columns) + " |",
            "|---|---|" + "---|" * len(table.columns)]
    for name, keys in table.values.items():
        for n, (key, cells) in enumerate(keys.items()):
            words, less = table.figures[name, key]
            first = cells.get(table.columns[0], [])
            row = [cell(cells.get(c, []), first, less) for c in table.columns]
            out.append(f"| {name if n == 0 else ''} | {words} | " + " | ".join(row) + " |")
    digests = {}
    for (name, column), runs in table.first.items():
        for one in runs:
            if "digest" in one:
                setting = tuple((k, one.get(k)) for k in ("ms", "warmup_ms", "seed", "neurons"))
                same = ", ".join(w for w in name.split(", ") if not w.endswith(("thread", "threads")))
                digests.setdefault((same, setting), set()).add(one["digest"])
    for (name, _), seen in digests.items():
        if len(seen) > 1:
            out += ["", f"**{name}: {len(seen)} different digests: {', '.join(sorted(seen))}.**"]
    return "\n".join(out) + "\n"


# -- SVG --

class Picture:
    def __init__(self, title, width, height, note=""):
        self.width, self.height = width, height
        self.parts = []
        self.text(16, 26, title, size=16, weight=600)
        for k, line in enumerate(self.lines_of(note, width)):
            self.text(16, 45 + 16 * k, line, colour="#5a6472")

    @staticmethod
    def lines_of(note, width):
        return textwrap.wrap(note, int((width - 32) / 6.2))

    def text(self, x, y, words, size=12, colour="#1d2733", anchor="start", weight=400):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                          f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>')

    def box(self, x, y, w, h, colour, opacity=1.0):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0.5):.1f}" '
                          f'height="{h:.1f}" fill="{colour}" opacity="{opacity:g}"/>')

    def line(self, x0, y0, x1, y1, colour="#e3e7ec", width=1.0, dash=""):
        dash = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" '
                          f'stroke="{colour}" stroke-width="{width:g}"{dash}/>')

    def save(self, path):
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" '
                      f'height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
                      'font-family="Helvetica, Arial, sans-serif">\n'
                      f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
                      + "\n".join(self.parts) + "\n</svg>\n")


class Axis:
    """Data to pixels, and round numbers between."""

    def __init__(self, low, high, pixel0, pixel1, log):
        self.log = log
        if log:
            low, high = math.floor(math.log10(low) * 3) / 3, math.ceil(math.log10(high) * 3) / 3
            high = high if high > low else low + 1
        self.low, self.high, self.pixel0, self.pixel1 = low, high, pixel0, pixel1

    def at(self, x):
        x = math.log10(x) if self.log else x
        share = (x - self.low) / (self.high - self.low)
        return self.pixel0 + (self.pixel1 - self.pixel0) * min(max(share, 0.0), 1.0)

    def marks(self):
        if self.log:
            steps = (1, 2, 5) if self.high - self.low < 3.1 else (1,)
            values = [m * 10.0 ** e for e in range(math.floor(self.low), math.ceil(self.high) + 1)
                      for m in steps]
            return [v for v in values if self.low - 1e-9 <= math.log10(v) <= self.high + 1e-9]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
        return [step * k for k in range(math.ceil(self.low / step), int(self.high / step) + 1)]


def wrap_legend(picture, names, y):
    """Coloured names in rows, without those that are None; returns the y below."""
    x = 16
    for k, name in enumerate(names):
        if name is None:
            continue
        width = 22 + 6.6 * len(name)
        if x > 16 and x + width > picture.width - 16:
            x, y = 16, y + 18
        picture.box(x, y - 9, 10, 10, COLOURS[k % len(COLOURS)])
        picture.text(x + 15, y, name)
        x += width
    return y + 14


def bars(path, title, note, rows, columns, log, mark=None):
    """rows: (words, {column: values}). Bars of medians, whiskers from least to most."""
    values = [v for _, cells in rows for c in cells.values() for v in c if v > 0]
    if not values:
        return False
    left = 30 + 6.4 * max(len(words) for words, _ in rows)
    used = [sum(1 for c in columns if cells.get(c)) for _, cells in rows]
    legend = [c if any(cells.get(c) for _, cells in rows) else None for c in columns]
    width = max(900, left + 420)
    above = 16 * (len(Picture.lines_of(note, width)) - 1)
    top = 62 + above + (18 * (1 + sum(22 + 6.6 * len(c) for c in legend if c) // 850)
                        if len(columns) > 1 else 0)
    height = top + sum(16 * n + 10 for n in used) + 34
    picture = Picture(title, width, height, note)
    if len(columns) > 1:
        wrap_legend(picture, legend, 66 + above)
    # a bar has to begin left of the smallest value, and there must be room for the words at its end
    most = max(values + ([mark[0]] if mark else []))
    least = min(values + ([mark[0]] if mark else []))
    axis = Axis(least / 2 if log else 0.0, most * (1.05 if log else 1.02), left,
                picture.width - 90, log)
    bottom = height - 30
    for x in axis.marks():
        picture.line(axis.at(x), top - 6, axis.at(x), bottom)
        picture.text(axis.at(x), bottom + 16, short(x), colour="#5a6472", anchor="middle")
    y = top
    for words, cells in rows:
        shown = [(k, cells[c]) for k, c in enumerate(columns) if cells.get(c)]
        picture.text(left - 8, y + 8 * len(shown) + 4, words, anchor="end")
        for k, v in shown:
            end = axis.at(median(v)) if median(v) > 0 else left
            picture.box(left, y + 1, end - left, 13, COLOURS[k % len(COLOURS)], 0.85)
            words_at = end
            if len(v) > 1 and min(v) > 0:
                picture.line(axis.at(min(v)), y + 7.5, axis.at(max(v)), y + 7.5, "#1d2733", 1.2)
                for x in (axis.at(min(v)), axis.at(max(v))):
                    picture.line(x, y + 4, x, y + 11, "#1d2733", 1.2)
                words_at = max(end, axis.at(max(v)))
            value = short(median(v))
            if mark and words_at <= axis.at(mark[0]) < words_at + 8 + 7 * len(value):
                words_at = axis.at(mark[0])  # not across the line
            picture.text(words_at + 6, y + 12, value, size=11)
            y += 16
        y += 10
    if mark:
        picture.line(axis.at(mark[0]), top - 6, axis.at(mark[0]), bottom, "#c4473a", 1.2, "4 3")
        picture.text(axis.at(mark[0]) + 4, top + 4, mark[1], size=11, colour="#c4473a")
    picture.save(path)
    return True


def curves(path, title, note, lines, x_words, y_words):
    """lines: (words, [(x, values)]). Both axes logarithmic."""
    points = [(x, v) for _, line in lines for x, values in line for v in values if v > 0]
    if not points:
        return False
    top = 84 + 18 * (1 + sum(22 + 6.6 * len(words) for words, _ in lines) // 700)
    picture = Picture(title, 760, top + 340, note)
    wrap_legend(picture, [words for words, _ in lines], 66)
    low, high = min(v for _, v in points), max(v for _, v in points)
    across = Axis(min(x for x, _ in points) / 1.3, max(x for x, _ in points) * 1.3, 64, 730, True)
    up = Axis(low / 1.5, high * 1.5, top + 280, top, True)
    for x in across.marks():
        picture.line(across.at(x), top, across.at(x), top + 280)
        picture.text(across.at(x), top + 297, short(x), colour="#5a6472", anchor="middle")
    for y in up.marks():
        picture.line(64, up.at(y), 730, up.at(y))
        picture.text(58, up.at(y) + 4, short(y), colour="#5a6472", anchor="end")
    picture.text(397, top + 322, x_words, anchor="middle")
    picture.text(64, top - 8, y_words, size=11, colour="#5a6472")
    for k, (words, line) in enumerate(lines):
        colour = COLOURS[k % len(COLOURS)]
        at = [(across.at(x), up.at(median(v))) for x, v in sorted(line)]
        for a, b in zip(at, at[1:]):
            picture.line(*a, *b, colour, 2)
        for (x, y), (_, v) in zip(at, sorted(line)):
            picture.line(x, up.at(min(v)), x, up.at(max(v)), colour, 1.2)
            picture.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
    picture.save(path)
    return True


def shares(path, title, note, rows):
    """rows: (words, [share of each of PARTS]). Whole bars of 1."""
    if not rows:
        return False
    left = 30 + 6.4 * max(len(words) for words, _ in rows)
    picture = Picture(title, max(900, left + 420), 92 + 26 * len(rows) + 34, note)
    wrap_legend(picture, [words for _, words in PARTS], 66)
    axis = Axis(0.0, 1.0, left, picture.width - 30, False)
    bottom = picture.height - 30
    for x in axis.marks():
        picture.line(axis.at(x), 86, axis.at(x), bottom)
        picture.text(axis.at(x), bottom + 16, f"{100 * x:.0f} %", colour="#5a6472",
                     anchor="middle")
    y = 92
    for words, parts in rows:
        picture.text(left - 8, y + 13, words, anchor="end")
        x = 0.0
        for k, part in enumerate(parts):
            width = axis.at(x + part) - axis.at(x)
            picture.box(axis.at(x), y, width, 17, COLOURS[k])
            if width > 34:
                picture.text(axis.at(x) + width / 2, y + 13, f"{100 * part:.0f} %", size=11,
                             colour="#ffffff", anchor="middle")
            x += part
        y += 26
    picture.save(path)
    return True


# -- the charts --

def rows_of(table, names, key):
    return [(n, table.values[n][key]) for n in names if key in table.values[n]]


def without_common(rows):
    """Rows whose words leave out what all of them say, and that."""
    split = [words.split(", ") for words, _ in rows]
    common = [w for w in split[0] if len(rows) > 1 and all(w in other for other in split)]
    return [(", ".join(w for w in words if w not in common), cells)
            for words, (_, cells) in zip(split, rows)], ", ".join(common)


def shares_of(table):
    """The parts of the run that took the median time."""
    rows = []
    for name in table.values:
        for column in table.columns:
            told = [one for one in table.first.get((name, column), [])
                    if all(is_number(one.get(k + "_share")) for k, _ in PARTS)]
            if told:
                one = sorted(told, key=lambda one: one.get("sim_s", 0.0))[(len(told) - 1) // 2]
                words = name if len(table.columns) == 1 else f"{name} ({column})"
                rows.append((words, [max(one[k + "_share"], 0.0) for k, _ in PARTS]))
    return rows


def limits_of(table):
    """What each measurement is bound by; neurons that fill neither L2 nor memory are left out."""
    rows = []
    for name, keys in table.values.items():
        cells = keys.get("adds_share")
        if "inplace_share" in keys:
            one = next(runs[0] for (n, _), runs in table.first.items() if n == name)
            size = one["bytes_per_neuron_step"] / 2 * one["neurons"] / one["threads"]
            if 1e6 < size < 64e6:
                continue
            cells = keys["l2_share" if size <= 1e6 else "inplace_share"]
            name += ", in L2" if size <= 1e6 else ", in memory"
        if cells:
            rows.append((name, cells))
    return rows


def scale_lines(table, key):
    lines = {}
    for (name, column), runs in table.first.items():
        for one in runs:
            if one["benchmark"] == "scale" and is_number(one.get(key)):
                words = f"{one.get('threads')} threads"
                words = words if len(table.columns) == 1 else f"{column}, {words}"
                line = lines.setdefault(words, {})
                line.setdefault(float(one["synapses"]), []).append(float(one[key]))
    return [(words, list(line.items())) for words, line in lines.items()]


def draw(table, folder):
    charts = []

    def add(name, words, made):
        if made:
            charts.append((name, words))

    def path(name):
        return os.path.join(folder, name)

    c = table.columns
    networks = rows_of(table, table.measurements(*FIGURES), "rtf")
    add("networks.svg", "Networks: time they take by the time that passes in them",
        networks and bars(path("networks.svg"), "Networks: real-time factor",
                          "wall time by biological time, logarithmic; less is better", networks, c,
                          True, (1.0, "real time")))
    add("profile.svg", "Where the time of networks goes",
        shares(path("profile.svg"), "Where the time goes",
               "share of threads x wall time; white is the rest", shares_of(table)))
    neurons = rows_of(table, table.measurements("neurons"), "neuron_steps_per_s")
    if neurons:
        rows, common = without_common(neurons)
        add("neurons.svg", "Neuron-steps a second",
            bars(path("neurons.svg"), "Neuron models by themselves",
                 f"neuron-steps a second, logarithmic; more is better ({common})", rows, c, True))
    add("scale.svg", "Time of an event against the size of the network",
        curves(path("scale.svg"), "Cost of a synaptic event against size",
               "wall time by synapses delivered; both axes logarithmic",
               scale_lines(table, "ns_per_event"), "synapses", "ns an event"))
    limits = limits_of(table)
    add("limits.svg", "Shares of what the machine can do",
        limits and bars(path("limits.svg"), "Share of the machine's own limits",
                        "networks: of scattered additions; neurons: of vectors in L2 or memory; "
                        "in the same run", limits, c, False, (1.0, "the limit")))
    for other in sorted({n.split(",")[0] for n in table.values} - set(FIGURES)):
        rows = [(n if len(table.values[n]) == 1 else f"{n}, {table.figures[n, k][0]}", cells)
                for n in table.measurements(other) for k, cells in table.values[n].items()]
        rows, common = without_common(rows)
        common = common.replace(f"{other}, ", "", 1)
        add(f"{other}.svg", other,
            bars(path(f"{other}.svg"), f"spkbench {other}", "a second, logarithmic; more is better"
                 + (f" ({common})" if common not in ("", other) else ""), rows, c, True))
    return charts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE")
    parser.add_argument("--out", default="report", help="folder to write into (default: report)")
    arguments = parser.parse_args()
    try:
        results = [one for argument in arguments.files for one in read(argument)]
        if not results:
            raise Wrong("there is no result in these files")
        os.makedirs(arguments.out, exist_ok=True)
        table = Table(results)
        charts = draw(table, arguments.out)
        with open(os.path.join(arguments.out, "report.md"), "w", encoding="utf-8",
                  newline="\n") as out:
            out.write(markdown(table, charts))
    except (Wrong, OSError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    print(os.path.join(arguments.out, "report.md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
