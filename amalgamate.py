#!/usr/bin/env python3
"""Builds spikelib.h, and the headers for devices beside it, from src/.

    python3 amalgamate.py                  write them all
    python3 amalgamate.py --check          exit 1, and say what to do, if one is not up to date
    python3 amalgamate.py --out FILE       write spikelib.h somewhere else
    python3 amalgamate.py --bundle FILE    a copy with the system's xxhash.h and its licence inside

A new file goes into one of the lists below, at a place after everything that it includes. Files
named *.inc.h have no include guard and are pasted wherever they are included, as often as they
are (this is how kernel text is compiled once for each instruction set); all others are pasted
once, in the order of the lists. Kernel text (*.cl, and *.inc.h in a file under gpu/) becomes an
array of lines where it is included. A header for devices uses private macros of spikelib.h, which
are undefined at its end: their definitions are copied. A file under src/ that no list names, or that is named twice, is
an error.
"""

import argparse
import os
import re
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.join(ROOT, "src")

MANUAL = "api/manual.h"

# Declarations that every including file sees.
PUBLIC = [
    "api/base.h",
    "api/net.h",
    "api/plot.h",
    "api/event.h",
    "api/spikefile.h",
    "api/ring.h",
    "api/pipeline.h",
    "api/source.h",
    "api/filter.h",
    "api/simulator.h",
    "api/view.h",
    "api/pixels.h",
    "api/conv.h",
]

# What SPIKELIB_NEURON expands to; emitted for SPIKELIB_MODELS and SPIKELIB_IMPLEMENTATION.
MODELS = [
    "core/base.h",
    "simd/have.h",
    "simd/types.h",
    "models/neuron.h",
]

# Everything else.
IMPLEMENTATION = [
    "core/status.h",
    "core/alloc.h",
    "core/philox.h",
    "core/digest.h",
    "core/clock.h",
    "core/cpu.h",
    "core/fenv.h",
    "core/pool.h",
    "models/propagator.h",
    "models/lif_exp.h",
    "models/lif_exp2.h",
    "models/lif_alpha.h",
    "models/lif_delta.h",
    "models/lif_cond.h",
    "models/lif_adapt.h",
    "models/adex.h",
    "models/izhikevich.h",
    "models/hh.h",
    "models/poisson.h",
    "models/spike_list.h",
    "models/parrot.h",
    "models/table.h",
    "net/quantile.h",
    "net/draw.h",
    "net/value.h",
    "net/projection.h",
    "net/rows.h",
    "net/projections.h",
    "net/lanes.h",
    "net/net.h",
    "net/row.h",
    "net/mask.h",
    "net/queue.h",
    "net/backend.h",
    "net/describe.h",
    "net/prepare.h",
    "net/shadow.h",
    "net/build.h",
    "net/synapses.h",
    "net/rest.h",
    "net/update.h",
    "net/ahead.h",
    "net/deliver.h",
    "net/record.h",
    "net/assemble.h",
    "net/engine.h",
    "net/access.h",
    "plot/svg.h",
    "plot/axes.h",
    "plot/curves.h",
    "plot/raster.h",
    "plot/rates.h",
    "plot/histogram.h",
    "plot/sheet.h",
    "event/codec.h",
    "event/hold.h",
    "event/flatbuf.h",
    "event/inflate.h",
    "event/lanes.h",
    "event/decimal.h",
    "event/aedat2.h",
    "event/aedat3.h",
    "event/aedat4.h",
    "event/columns.h",
    "event/text.h",
    "event/npy.h",
    "event/hdf5.h",
    "event/file.h",
    "event/writer.h",
    "event/text_write.h",
    "event/npy_write.h",
    "event/aedat4_write.h",
    "event/raw.h",
    "event/evt2.h",
    "event/evt21.h",
    "event/evt3.h",
    "event/evt3_fast.h",
    "event/evt4.h",
    "event/dat.h",
    "event/nmnist.h",
    "event/es.h",
    "event/spikefile_pack.h",
    "event/spikefile_unpack.h",
    "event/spikefile_block.h",
    "event/spikefile_os.h",
    "event/spikefile_format.h",
    "event/spikefile_codec.h",
    "event/spikefile_read.h",
    "event/spikefile_open.h",
    "event/spikefile_write.h",
    "event/spikefile_events.h",
    "event/formats.h",
    "event/decoder.h",
    "event/reader.h",
    "event/write.h",
    "event/filter.h",
    "event/filter_point.h",
    "event/filter_map.h",
    "event/batch.h",
    "event/filter_pixel.h",
    "event/downsample.h",
    "event/filter_background.h",
    "event/corner.h",
    "event/rows.h",
    "event/simulator_scene.h",
    "event/simulator.h",
    "event/view_add.h",
    "event/view.h",
    "event/flow.h",
    "ring/park.h",
    "ring/core.h",
    "ring/spsc.h",
    "ring/talk.h",
    "ring/party.h",
    "ring/mpmc.h",
    "ring/wait.h",
    "ring/policy.h",
    "ring/map.h",
    "ring/ring.h",
    "pipeline/histogram.h",
    "pipeline/policy.h",
    "pipeline/state.h",
    "pipeline/queue.h",
    "pipeline/schedule.h",
    "pipeline/run.h",
    "pipeline/worker.h",
    "pipeline/pipeline.h",
    "pipeline/submit.h",
    "pipeline/wire.h",
    "pipeline/socket.h",
    "pipeline/source.h",
    "event/pixels.h",
    "event/inject.h",
    "conv/layer.h",
    "conv/kernels.h",
    "conv/build.h",
    "conv/step.h",
    "conv/conv.h",
]

# Pasted wherever they are included.
PASTED = [
    "simd/math.inc.h",
    "net/words.inc.h",
    "net/lanes.inc.h",
    "net/draw.inc.h",
    "event/rows.inc.h",
    "event/arc.inc.h",
    "conv/kernels.inc.h",
]

# Networks on devices: what the APIs share, then what each of them adds. Each header holds the
# shared part, and a unit compiles it once.
GPU = [
    "gpu/host/device.h",
    "gpu/host/cache.h",
    "gpu/host/texts.h",
    "gpu/host/source.h",
    "gpu/host/pack.h",
    "gpu/host/layout.h",
    "gpu/host/origin.h",
    "gpu/host/state.h",
    "gpu/host/tables.h",
    "gpu/host/construct.h",
    "gpu/host/deal.h",
    "gpu/host/batch.h",
    "gpu/host/run.h",
    "gpu/host/replay.h",
    "gpu/host/selftest.h",
    "gpu/host/net.h",
    "gpu/host/names.h",
]
CL_PUBLIC = [
    "gpu/cl/api.h",
]
CL = [
    "gpu/cl/loader.h",
    "gpu/cl/choose.h",
    "gpu/cl/device.h",
    "gpu/cl/backend.h",
]

CUDA_PUBLIC = [
    "gpu/cuda/api.h",
]
CUDA = [
    "gpu/cuda/loader.h",
    "gpu/cuda/choose.h",
    "gpu/cuda/device.h",
    "gpu/cuda/graph.h",
    "gpu/cuda/compile.h",
    "gpu/cuda/held.h",
    "gpu/cuda/open.h",
    "gpu/cuda/backend.h",
]

# Kernel text, quoted wherever it is included.
QUOTED = [
    "gpu/text/opencl.cl",
    "gpu/text/cuda.cu",
    "gpu/text/engine.cl",
    "gpu/text/kernels.cl",
    "gpu/text/batch.cl",
    "gpu/text/selftest.cl",
    "gpu/text/rows.cl",
]

# The same as code, for a file that nvcc compiles: the header includes itself for it, once for each
# choice of bits, with SPKI_CODE the name of a namespace.
CODE = [
    "gpu/text/exact.cu",
    "gpu/text/cuda.cu",
    "simd/math.inc.h",
    "gpu/text/engine.cl",
    "gpu/text/models.cu",
    "gpu/text/kernels.cl",
    "gpu/text/batch.cl",
    "gpu/text/selftest.cl",
    "gpu/text/rows.cl",
    "gpu/text/held.cu",
]
CODE_ONLY = [
    "gpu/text/exact.cu",
    "gpu/text/models.cu",
    "gpu/text/held.cu",
]

# What code takes from the host's macros; all others of the names that it uses are hidden from it.
CODE_BORROWS = re.compile("SPKI_(GPU|STREAM)_")

# Headers beside spikelib.h: name, tag, what for, public files, private files.
DEVICES = [
    ("spikelib_cl.h", "cl", "networks of spikelib.h on OpenCL devices, with the same spikes",
     CL_PUBLIC, CL),
    ("spikelib_cuda.cuh", "cuda", "networks of spikelib.h on CUDA devices, with the same spikes",
     CUDA_PUBLIC, CUDA),
]

# Files that run once for a network, a file or a batch: GCC compiles them with -O1, which takes two
# thirds of the time. What runs for each step, event or synapse is not among them.
SPARED = {
    "core/status.h", "core/alloc.h", "core/clock.h", "core/cpu.h", "core/fenv.h",
    "models/propagator.h", "models/table.h", "net/describe.h", "net/prepare.h", "net/shadow.h",
    "net/assemble.h", "net/access.h", "plot/svg.h", "plot/axes.h", "plot/curves.h",
    "plot/raster.h", "plot/rates.h", "plot/histogram.h", "plot/sheet.h", "event/flatbuf.h",
    "event/columns.h", "event/file.h", "event/spikefile_os.h", "event/spikefile_format.h",
    "event/spikefile_codec.h", "event/spikefile_open.h", "event/spikefile_events.h",
    "event/formats.h", "event/decoder.h", "event/reader.h", "event/write.h", "event/filter.h",
    "ring/party.h", "ring/map.h", "ring/ring.h", "pipeline/policy.h", "pipeline/state.h",
    "pipeline/pipeline.h", "pipeline/socket.h", "event/pixels.h", "conv/build.h", "conv/conv.h",
    "gpu/host/device.h", "gpu/host/cache.h", "gpu/host/texts.h", "gpu/host/source.h",
    "gpu/host/layout.h", "gpu/host/selftest.h", "gpu/host/net.h", "gpu/cl/loader.h",
    "gpu/cl/choose.h", "gpu/cl/device.h", "gpu/cuda/loader.h", "gpu/cuda/choose.h",
    "gpu/cuda/device.h", "gpu/cuda/compile.h", "gpu/cuda/held.h", "gpu/cuda/open.h",
}

# A file that a flag leaves out, or several flags together.
LEFT_OUT_BY = {
    "api/net.h": "SPIKELIB_NO_NET",
    "models/": "SPIKELIB_NO_NET",
    "net/": "SPIKELIB_NO_NET",
    "simd/types.h": "SPIKELIB_NO_NET SPIKELIB_NO_EVENTS",
    "api/plot.h": "SPIKELIB_NO_PLOT",
    "plot/": "SPIKELIB_NO_PLOT",
    "api/event.h": "SPIKELIB_NO_EVENTS",
    "api/filter.h": "SPIKELIB_NO_EVENTS",
    "api/simulator.h": "SPIKELIB_NO_EVENTS",
    "api/view.h": "SPIKELIB_NO_EVENTS",
    "event/": "SPIKELIB_NO_EVENTS",
    "api/spikefile.h": "SPIKELIB_NO_SPIKEFILE",
    "event/spikefile_": "SPIKELIB_NO_SPIKEFILE",
    "api/ring.h": "SPIKELIB_NO_RINGS",
    "ring/": "SPIKELIB_NO_RINGS",
    "api/pipeline.h": "SPIKELIB_NO_PIPELINE",
    "pipeline/": "SPIKELIB_NO_PIPELINE",
    "api/source.h": "SPIKELIB_NO_SOURCES",
    "pipeline/wire.h": "SPIKELIB_NO_SOURCES",
    "pipeline/socket.h": "SPIKELIB_NO_SOURCES",
    "pipeline/source.h": "SPIKELIB_NO_SOURCES",
    "api/pixels.h": "SPIKELIB_NO_EVENTS",
    "api/conv.h": "SPIKELIB_NO_EVENTS",
    "conv/": "SPIKELIB_NO_EVENTS",
}

# Macros that are not ours to undefine, or that configure a system header.
FOREIGN_MACROS = {
    "_GNU_SOURCE", "NOMINMAX", "WIN32_LEAN_AND_MEAN", "XXH_INLINE_ALL", "_WIN32_WINNT",
}

LOCAL_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[ \t]*(?:/\*.*\*/)?[ \t]*$')
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_][A-Za-z_0-9]*)")
UNDEF = re.compile(r"^[ \t]*#[ \t]*undef[ \t]+([A-Za-z_][A-Za-z_0-9]*)")
BANNER = re.compile(r"^/\* ---- >>([a-z0-9_-]+): (.*\S) ----(?: \*/)?$")
XXHASH_THERE = re.compile(r"^[ \t]*#[ \t]*if __has_include\(<xxhash\.h>\)")
XXHASH_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+<xxhash\.h>")


class Failure(Exception):
    pass


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    name = os.path.relpath(path, ROOT)
    if b"\r" in data:
        raise Failure("%s: has CR line ends; use LF" % name)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise Failure("%s:%d: is not ASCII" % (name, line))
    return text if text.endswith("\n") else text + "\n"


def all_listed():
    devices = [name for d in DEVICES for name in d[3] + d[4]]
    return [MANUAL] + PUBLIC + MODELS + IMPLEMENTATION + PASTED + GPU + devices + QUOTED + CODE_ONLY


def check_lists():
    """Every file under src/ in exactly one list, every listed file there."""
    found = set()
    for folder, _, names in os.walk(SRC):
        for name in names:
            found.add(os.path.relpath(os.path.join(folder, name), SRC).replace(os.sep, "/"))
    listed = all_listed()
    errors = []
    for name in sorted(found - set(listed)):
        errors.append("src/%s is in no list of amalgamate.py" % name)
    for name in sorted(set(listed) - found):
        errors.append("src/%s is listed in amalgamate.py, but there is no such file" % name)
    for name in sorted({n for n in listed if listed.count(n) > 1}):
        errors.append("src/%s is listed twice in amalgamate.py" % name)
    for name in sorted(SPARED - set(IMPLEMENTATION + GPU + CL + CUDA)):
        errors.append("src/%s is in SPARED, but in no list of implementation files" % name)
    for name in PASTED:
        if not name.endswith(".inc.h"):
            errors.append("src/%s is in PASTED, but is not named *.inc.h" % name)
    for name in listed:
        if name.endswith(".inc.h") and name not in PASTED:
            errors.append("src/%s belongs into PASTED" % name)
    if errors:
        raise Failure("\n".join(errors))


def quoted(text):
    """Kernel text as the lines of a C array: no comments, no empty lines."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    out = []
    for line in text.split("\n"):
        line = re.sub(r"\s+$", "", line)
        if line:
            line = re.sub(r"  +(?=\\\\?$)", " ", line)
            out.append('"%s\\n",' % line.replace("\\", "\\\\").replace('"', '\\"'))
    return out + ["0"]


class Amalgam:
    def __init__(self, bundle):
        self.bundle = bundle       # text of xxhash.h, or None
        self.bundled = False
        self.done = set()          # files whose text is already above
        self.used = set()          # pasted files that somebody includes
        self.banners = []          # (tag, what it is for)
        self.macros = []           # of the section at hand, to be undefined at its end

    # -- one file --

    def guard_of(self, name):
        return "SPIKELIB_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()

    def without_guard(self, name, lines):
        guard = self.guard_of(name)
        heads = [i for i, l in enumerate(lines) if l.strip() == "#ifndef " + guard]
        if not heads or lines[heads[0] + 1].strip() != "#define " + guard:
            raise Failure("src/%s: wants the include guard %s" % (name, guard))
        last = max(i for i, l in enumerate(lines) if l.strip())
        if not lines[last].startswith("#endif"):
            raise Failure("src/%s: the last line should be the #endif of its guard" % name)
        return lines[: heads[0]] + lines[heads[0] + 2 : last]

    def include(self, name, target):
        """Lines for `#include "target"` met in src/name."""
        if target in [d[0] for d in DEVICES]:  # itself
            return ['#include "%s"' % target]
        path = os.path.normpath(os.path.join(os.path.dirname(name), target)).replace(os.sep, "/")
        if path.endswith((".cl", ".cu")) or (path.endswith(".inc.h") and name.startswith("gpu/")):
            if path not in QUOTED + PASTED:
                raise Failure("src/%s includes %s, which is not in QUOTED" % (name, target))
            return quoted(read(os.path.join(SRC, path)))
        if path.endswith(".inc.h"):
            if path not in PASTED:
                raise Failure("src/%s includes %s, which is not in PASTED" % (name, target))
            self.used.add(path)
            return self.lines_of(path, read(os.path.join(SRC, path)).split("\n")[:-1])
        if path not in all_listed():
            raise Failure("src/%s includes %s, which is in no list" % (name, target))
        if path not in self.done:
            raise Failure("src/%s includes %s, which comes later in the lists" % (name, target))
        return []

    def xxhash(self):
        self.bundled = True
        ignore = ["-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wpedantic",
                  "-Wextra", "-Wunused-function"]
        head = ["/* xxhash.h of the xxHash library, with its licence, as found on the system that "
                "wrote this file. */", "#pragma GCC diagnostic push"]
        head += ['#pragma GCC diagnostic ignored "%s"' % w for w in ignore]
        return head + self.bundle.split("\n")[:-1] + ["#pragma GCC diagnostic pop"]

    def lines_of(self, name, lines):
        out = []
        defined = {}  # macro: is it, after this file?
        for line in lines:
            m = LOCAL_INCLUDE.match(line)
            if m:
                out += self.include(name, m.group(1))
                continue
            if self.bundle is not None and XXHASH_INCLUDE.match(line):
                out += self.xxhash()
                continue
            if self.bundle is not None and XXHASH_THERE.match(line):
                line = "#if 1 /* pasted in below */"
            m = BANNER.match(line)
            if m and (m.group(1), m.group(2)) not in self.banners:
                self.banners.append((m.group(1), m.group(2)))
            m = DEFINE.match(line)
            if m:
                defined[m.group(1)] = True
            m = UNDEF.match(line)
            if m:
                defined[m.group(1)] = False
            out.append(line)
        for macro, is_left in defined.items():
            if not is_left or macro in FOREIGN_MACROS or macro in self.macros:
                continue
            if re.match(r"SPKI_|spki_|spk_|K$", macro):
                self.macros.append(macro)
            elif not re.match(r"SPK_|SPIKELIB_", macro):
                raise Failure("src/%s: the macro %s should begin with SPKI_ or be undefined in "
                              "the same file" % (name, macro))
        return out

    def file(self, name):
        lines = read(os.path.join(SRC, name)).split("\n")[:-1]
        if not BANNER.match(lines[0]):
            raise Failure("src/%s: the first line should be the banner "
                          "/* ---- >>tag: what it is for ---- */" % name)
        out = self.lines_of(name, self.without_guard(name, lines))
        self.done.add(name)
        while len(out) > 1 and not out[-1].strip():
            out.pop()
        for prefix, flag in LEFT_OUT_BY.items():
            if name == prefix or (prefix[-1] in "/_" and name.startswith(prefix)):
                have = " || ".join("!defined(%s)" % f for f in flag.split())
                out = ["#if " + have] + out + ["#endif /* %s */" % flag]
        return out + [""]

    def files(self, names):
        out, spared = [], False
        for name in names + [None]:
            if (name in SPARED) != spared:
                spared = not spared
                out += SPARED_HEAD if spared else SPARED_TAIL
            if name:
                out += self.file(name)
        return out

    def undefs(self, macros):
        return ["#undef " + m for m in sorted(set(macros))]

    # -- a header for devices --

    def borrowed(self, lines, own):
        """Definitions of private macros that `lines` use and do not define: those that
        SPIKELIB_MODELS keeps, and the others."""
        keep, other, done = [], [], set(own)
        words = set(re.findall(r"SPKI_[A-Z0-9_]+", re.sub(r'"(\\.|[^"\\\n])*"', "", "\n".join(lines))))
        todo = sorted(words - done)
        while todo:
            name = todo.pop(0)
            if name in done or name not in self.definitions:
                continue
            done.add(name)
            found = self.definitions[name]
            if len(found) != 1:
                raise Failure("the macro %s has several definitions; a header for devices cannot "
                              "use it" % name)
            todo += sorted(set(re.findall(r"SPKI_[A-Z0-9_]+", found[0][1])) - done)
            (keep if found[0][0] in MODELS else other).append((name, found[0][1]))
        return sorted(keep), sorted(other)

    def find_definitions(self):
        self.definitions = {}
        for name in MODELS + IMPLEMENTATION + GPU:
            text = read(os.path.join(SRC, name))
            for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(SPKI_[A-Z0-9_]+)((?:.*\\\n)*.*)$",
                                 text, flags=re.M):
                if m.group(1) != self.guard_of(name):
                    self.definitions.setdefault(m.group(1), []).append((name, m.group(0)))

    def code(self):
        """Kernel text as code. Macros of the same names may be defined around it, and are so again
        behind it."""
        lines = []
        for name in CODE:
            text = re.sub(r"/\*.*?\*/", " ", read(os.path.join(SRC, name)), flags=re.S)
            lines += [line.rstrip() for line in text.split("\n") if line.strip()]
        macros = {m.group(1) for m in map(DEFINE.match, lines) if m}
        words = set(re.findall(r"SPKI_[A-Z0-9_]+", "\n".join(lines)))
        foreign = {w for w in words & set(self.definitions) if not CODE_BORROWS.match(w)}
        macros = sorted(macros | foreign)
        out = []
        for m in macros:
            out += ['#pragma push_macro("%s")' % m, "#undef " + m]
        out += ["#ifdef __NVCC__", "#pragma nv_diagnostic push",
                "#pragma nv_diag_suppress 177, 550", "#endif"]
        out += ["namespace SPKI_CODE {"] + lines + ["}"]
        out += ["#ifdef __NVCC__", "#pragma nv_diagnostic pop", "#endif"]
        for m in macros:
            out += ["#undef " + m, '#pragma pop_macro("%s")' % m]
        out += self.undefs(["SPKI_CODE", "SPKI_CODE_STATES", "SPKI_CODE_WEIGHTS",
                            "SPKI_CODE_WIDE"])
        return out, macros

    def section(self, files, code=((), ())):
        """Private files with the macros they need, which are undefined at the end. The code, which
        they include, may need some too."""
        self.macros = []
        lines = self.files(files)
        own = list(self.macros)
        used = [w for w in re.findall(r"SPKI_[A-Z0-9_]+", "\n".join(code[0]))
                if CODE_BORROWS.match(w)]
        keep, other = self.borrowed(lines + used, own + list(code[1]))
        out = ["#ifndef SPIKELIB_MODELS"] + [d for _, d in keep] + ["#endif"]
        out += [d for _, d in other] + lines
        out += self.undefs(own + [n for n, _ in other])
        return out + ["#ifndef SPIKELIB_MODELS"] + self.undefs([n for n, _ in keep]) + ["#endif"]

    def device_text(self, device):
        name, tag, what, public, private = device
        flag = "SPIKELIB_" + tag.upper()
        self.done = set(all_listed()) - set(GPU + public + private)
        version = re.search(r'#define SPIKELIB_VERSION "([^"]+)"',
                            read(os.path.join(SRC, "api/base.h"))).group(1)
        out = ["/* %s %s - %s. MIT licence," % (name, version, what),
               "   The spikelib authors; the text is at the end of spikelib.h. Include it after",
               "   spikelib.h, also in the file that has SPIKELIB_IMPLEMENTATION.",
               "   Generated from src/ by amalgamate.py; edits belong there. */", ""]
        self.find_definitions()
        code = self.code() if tag == "cuda" else ((), ())
        if code[0]:
            out += ["#ifdef SPKI_CODE"] + code[0] + ["#else"]
        out += ["#ifndef SPIKELIB_H", '#error "include spikelib.h before %s"' % name, "#endif"]
        out += ["#ifdef SPIKELIB_NO_NET", '#error "%s needs networks: no SPIKELIB_NO_NET"' % name,
                "#endif", "#ifndef %s_H" % flag, "#define %s_H" % flag, ""]
        out += self.files(public) + ["#endif", ""]
        if self.macros:
            raise Failure("the public section leaves %s defined" % ", ".join(self.macros))
        out += ["#ifdef SPIKELIB_IMPLEMENTATION", "#ifndef %s_SECTION" % flag,
                "#define %s_SECTION" % flag, ""] + SECTION_CONTRACT.split("\n")
        out += ["#ifndef SPIKELIB_GPU_SECTION", "#define SPIKELIB_GPU_SECTION", ""]
        out += self.section(GPU) + ["#endif /* shared with other devices */", ""]
        out += self.section(private, code) + SECTION_TAIL + ["#endif", "#endif"]
        out += ["#endif /* SPKI_CODE */"] if code[0] else []
        text = "\n".join(l.rstrip() for l in out) + "\n"
        return re.sub(r"\n{3,}", "\n\n", text)

    # -- the whole --

    def text(self):
        version = re.search(r'#define SPIKELIB_VERSION "([^"]+)"',
                            read(os.path.join(SRC, "api/base.h"))).group(1)
        licence = read(os.path.join(ROOT, "LICENSE")).rstrip("\n").split("\n")

        public = self.files(PUBLIC)
        if self.macros:
            raise Failure("the public section leaves %s defined" % ", ".join(self.macros))
        models = self.files(MODELS)
        model_macros, self.macros = self.macros, []
        implementation = self.files(IMPLEMENTATION)
        own_macros = [m for m in self.macros if m not in model_macros]
        unused = sorted(set(PASTED) - self.used)
        if unused:
            raise Failure("nothing includes src/%s" % ", src/".join(unused))
        if self.bundle is not None and not self.bundled:
            raise Failure("no file of src/ includes <xxhash.h>; there is nothing to bundle")

        out = self.manual(version)
        out += ["/* Generated from src/ by amalgamate.py; edits belong there. */", ""]
        out += FEATURES
        out += ["#ifndef SPIKELIB_H", "#define SPIKELIB_H", ""] + public
        out += ["#endif /* SPIKELIB_H */", ""]
        out += MODELS_HEAD + models + SECTION_TAIL + ["#endif", "#endif /* models */", ""]
        out += IMPLEMENTATION_HEAD + implementation + SECTION_TAIL
        out += self.undefs(own_macros) + ["#ifndef SPIKELIB_MODELS"]
        out += self.undefs(model_macros)
        out += ["#define SPIKELIB_MODELS_CLOSED", "#endif", "", "#endif",
                "#endif /* SPIKELIB_IMPLEMENTATION */", ""]
        out += ["/* ---- >>licence: the MIT licence ---- */", "", "/*"] + licence + ["*/"]
        text = "\n".join(l.rstrip() for l in out) + "\n"
        return re.sub(r"\n{3,}", "\n\n", text)

    def manual(self, version):
        lines = read(os.path.join(SRC, MANUAL)).split("\n")[:-1]
        lines = self.without_guard(MANUAL, lines)
        width = max(len(tag) for tag, _ in self.banners) + 4
        out = []
        for line in lines:
            if line.strip() == "@CONTENTS@":
                for tag, what in self.banners + [("licence", "the MIT licence")]:
                    out.append("    " + (">>" + tag).ljust(width) + what)
            else:
                out.append(line.replace("@VERSION@", version))
        return out


# System headers read these macros when the first of them is included.
FEATURES = """\
#if defined(SPIKELIB_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
""".split("\n")

# No fused multiply-add inside (law 2: a*b+c is two roundings everywhere). GCC ignores the standard
# pragma and Clang ignores GCC's. At the end GCC gets back what was there; Clang, whose
# float_control(push) exists for some targets only, what the command line says.
SECTION_CONTRACT = """\
#if defined(__NVCC__) /* hands GCC's pragmas on, and warns that it does not know them */
#pragma nv_diagnostic push
#pragma nv_diag_suppress 177, 550, 1675
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized" /* what its own intrinsics leave undefined */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
"""

MODELS_HEAD = ("""\
/* ---- >>models-section: what SPIKELIB_NEURON needs ---- */

#if defined(SPIKELIB_MODELS) || defined(SPIKELIB_IMPLEMENTATION)
#if defined(SPIKELIB_MODELS) && defined(SPIKELIB_MODELS_CLOSED)
#error "define SPIKELIB_MODELS before the #include of spikelib.h that has SPIKELIB_IMPLEMENTATION"
#endif
#ifndef SPIKELIB_MODELS_SECTION
#define SPIKELIB_MODELS_SECTION

""" + SECTION_CONTRACT).split("\n")

IMPLEMENTATION_HEAD = ("""\
/* ---- >>implementation: everything else; for one file of a program ---- */

#ifdef SPIKELIB_IMPLEMENTATION
#ifndef SPIKELIB_IMPLEMENTATION_SECTION
#define SPIKELIB_IMPLEMENTATION_SECTION

""" + SECTION_CONTRACT).split("\n")

# Around files of SPARED. Not where the program asked for no optimisation or for size.
SPARED_HEAD = """\
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif
""".split("\n")
SPARED_TAIL = """\
#if !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC pop_options
#endif
""".split("\n")

SECTION_TAIL = """\
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
#if defined(__NVCC__)
#pragma nv_diagnostic pop
#endif
""".split("\n")


def system_xxhash(path):
    """Text of the system's xxhash.h; its first comment has to be the licence."""
    places = [path] if path else ["/usr/include/xxhash.h", "/usr/local/include/xxhash.h",
                                  "/opt/homebrew/include/xxhash.h"]
    for place in places:
        if not os.path.exists(place):
            continue
        with open(place, "rb") as f:
            text = f.read().decode("utf-8").encode("ascii", "replace").decode("ascii")
        text = text.replace("\r\n", "\n").rstrip("\n") + "\n"
        first = text[: text.index("*/")]
        if "BSD 2-Clause" not in first or "Copyright" not in first:
            raise Failure("%s does not begin with the licence expected (BSD 2-Clause)" % place)
        return text
    raise Failure("no xxhash.h in %s; Debian has it in libxxhash-dev" % ", ".join(places))


def write(path, text):
    with open(path, "wb") as f:
        f.write(text.encode("ascii"))


def main():
    parser = argparse.ArgumentParser(description="builds spikelib.h from src/")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--out", metavar="FILE", default=os.path.join(ROOT, "spikelib.h"))
    parser.add_argument("--bundle", metavar="FILE", help="write a copy with xxhash.h inside")
    parser.add_argument("--xxhash", metavar="FILE", help="the xxhash.h for --bundle")
    args = parser.parse_args()
    try:
        check_lists()
        if args.bundle:
            write(args.bundle, Amalgam(system_xxhash(args.xxhash)).text())
            return 0
        texts = [(args.out, Amalgam(None).text())]
        if args.out == parser.get_default("out"):
            texts += [(os.path.join(ROOT, d[0]), Amalgam(None).device_text(d)) for d in DEVICES]
    except Failure as e:
        sys.stderr.write("amalgamate.py: " + str(e).replace("\n", "\namalgamate.py: ") + "\n")
        return 1
    status = 0
    for path, text in texts:
        if not args.check:
            write(path, text)
            continue
        old = b""
        if os.path.exists(path):
            with open(path, "rb") as f:
                old = f.read()
        if old != text.encode("ascii"):
            sys.stderr.write("%s is not what src/ makes of it. Edit src/, never the header, then "
                             "run\n    make amalgam\nand commit both.\n" % os.path.basename(path))
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
