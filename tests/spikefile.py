#!/usr/bin/env python3
"""Reads a spike file as docs/spikefile.md says, written from that page alone: an independent check
of what the C code writes. Prints a line for each record, or fails with a sentence.

    python3 tests/spikefile.py FILE [seek TIME]
"""

import struct
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                      0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def rotl(x, n):
    return ((x << n) | (x >> (64 - n))) & MASK


def xxh64(data):
    """The xxHash specification 0.1.1, seed 0."""
    def mix(acc, lane):
        return rotl((acc + lane * P2) & MASK, 31) * P1 & MASK
    n, at = len(data), 0
    if n >= 32:
        acc = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        while at + 32 <= n:
            for i, lane in enumerate(struct.unpack_from("<4Q", data, at)):
                acc[i] = mix(acc[i], lane)
            at += 32
        h = sum(rotl(a, r) for a, r in zip(acc, (1, 7, 12, 18))) & MASK
        for a in acc:
            h = ((h ^ mix(0, a)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + n) & MASK
    while at + 8 <= n:
        h = (rotl(h ^ mix(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ struct.unpack_from("<I", data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def need(ok, what):
    if not ok:
        sys.exit("spikefile.py: " + what)


def packed(data, at, n, width):
    """n numbers of `width` bits, and where they end."""
    size = (n * width + 7) // 8
    word = int.from_bytes(data[at:at + size], "little")
    return [word >> (k * width) & ((1 << width) - 1) for k in range(n)], at + size


def column(data, at, descriptor, n):
    mode, width, extra = descriptor
    base = 0
    if mode & 8:
        base = struct.unpack_from("<I", data, at)[0]
        at += 4
    r, at = packed(data, at, n, width)
    if mode & 4:
        bits = int.from_bytes(data[at:at + extra], "little")
        at += extra
        for k in range(n):
            zeros = (bits & -bits).bit_length() - 1
            bits >>= zeros + 1
            r[k] |= zeros << width
    elif extra:
        high = data[at]
        places, at = packed(data, at + 1, extra, (n - 1).bit_length())
        upper, at = packed(data, at, extra, high)
        for place, value in zip(places, upper):
            r[place] |= value << width
    kind, last = mode & 3, base
    for k in range(n):
        if kind == 0:
            r[k] = (base + r[k]) % 2**32
            continue
        step = r[k] if kind == 1 else r[k] // 2 if r[k] % 2 == 0 else -(r[k] + 1) // 2
        r[k] = last = (last + step) % 2**32
    return r, at


def block(data, n, first, events):
    columns = 4 if events else 2
    descriptors = [struct.unpack_from("<BBH", data, 4 * c) for c in range(columns)]
    at, values = 4 * columns, []
    for c, d in enumerate(descriptors):
        if c == 0 and d[0] == 16:
            values.append(list(struct.unpack_from("<%dq" % n, data, at)))
            at += 8 * n
        elif c == 1 and d[0] == 32:
            both = [t - first for t in values[0]]
            values = [[first + (v >> d[1]) for v in both], [v & ((1 << d[1]) - 1) for v in both]]
        else:
            v, at = column(data, at, d, n)
            values.append([first + x for x in v] if c == 0 else v)
    if not events:
        return list(zip(*values))
    return [(t, x, y, m & 1, m >> 1 & 255, m >> 9) for t, x, y, m in zip(*values)]


class Chunk:
    def __init__(self, data, at):
        f = struct.unpack_from("<4sIQQQIIqQIIBBB5xqqqQIIQQ", data, at)
        (magic, self.head, offset, self.number, self.bytes, self.stored, self.unpacked, self.first,
         self.before, self.records, self.entries, self.codec, self.kind, self.flags, self.t_min,
         self.t_max, self.t_before, self.back, self.low, self.high, body, self.link) = f
        self.at, self.blocks = at, -(-self.records // 1024)
        need(magic == b"SPKC" and offset == at, "no chunk at offset %d" % at)
        need(self.head == -(-(136 + 24 * self.entries + 20 * self.blocks) // 16) * 16, "H")
        need(self.bytes == -(-(self.head + self.stored + 64) // 64) * 64, "size of a chunk")
        self.hash = struct.unpack_from("<Q", data, at + self.head - 8)[0]
        need(self.hash == xxh64(data[at:at + self.head - 8]), "header of chunk %d" % self.number)
        need(body == xxh64(data[at + self.head:at + self.bytes]), "body of chunk %d" % self.number)
        self.index = [struct.unpack_from("<QqQ", data, at + 128 + 24 * k)
                      for k in range(self.entries)]

    def places(self, data):
        at = self.at + 128 + 24 * self.entries
        return [struct.unpack_from("<IIqI", data, at + 20 * k) for k in range(self.blocks)]

    def read(self, data):
        payload = data[self.at + self.head:self.at + self.head + self.stored]
        need(self.codec < 2, "compressed: not read by this program")
        out, places = [], self.places(data)
        for k, (begin, span, first, hash_) in enumerate(places):
            end = places[k + 1][0] if k + 1 < self.blocks else self.unpacked
            n = min(1024, self.records - 1024 * k)
            b = payload[begin:end]
            need(hash_ == xxh64(b) & 0xffffffff, "block %d of chunk %d" % (k, self.number))
            if self.codec == 0:
                records = block(b, n, first, self.kind)
            elif self.kind:
                records = [(t, x, y, p, what, s) for t, x, y, p, what, s
                           in struct.iter_unpack("<qHHBBH", b)]
            else:
                records = [(t, i) for t, i, _ in struct.iter_unpack("<QII", b)]
            times = [r[0] for r in records]
            need(min(times) == first, "earliest time of block %d" % k)
            need(span == 0xffffffff or max(times) - first == span, "span of block %d" % k)
            out += records
        times = [r[0] for r in out]
        need((min(times), max(times)) == (self.t_min, self.t_max), "times of a chunk")
        need(bool(self.flags & 1) == (times == sorted(times)), "the flag of order")
        return out


def slots(data):
    found = []
    for at in (64, 96):
        end, last, sequence, hash_ = struct.unpack_from("<4Q", data, at)
        if hash_ == xxh64(data[at:at + 24]):
            found.append((sequence, end, last))
    need(found, "no slot is whole")
    return max(found)


def main():
    data = open(sys.argv[1], "rb").read()
    magic, version, kind, dt, width, height = struct.unpack_from("<8sIIdII", data, 0)
    need(magic == b"\x89SPK\r\n\x1a\n" and version == 1, "not a spike file")
    link = struct.unpack_from("<Q", data, 56)[0]
    need(link == xxh64(data[:56]), "the file header's checksum")
    sequence, end, last = slots(data)
    print("kind %d dt_ms %g width %d height %d end %d" % (kind, dt, width, height, end))
    if len(sys.argv) > 2:  # by the index: the first chunk that reaches the time
        chunk, headers = Chunk(data, last), 1
        while True:
            entry = next((e for e in chunk.index if e[1] >= int(sys.argv[3])), None)
            if entry is None:
                break
            chunk, headers = Chunk(data, entry[0]), headers + 1
        print("chunk %d headers %d" % (chunk.number, headers))
        return
    at, number, count, latest, back = 128, 0, 0, -2**63, 0
    while at < end:
        c = Chunk(data, at)
        need((c.number, c.link, c.before, c.kind) == (number, link, count, kind), "the chain")
        digits, n = 0, number
        while n:
            digits, n = digits + n % 16, n // 16
        need(c.entries == digits and c.t_before == latest, "the index of chunk %d" % number)
        for record in c.read(data):
            back = max(back, latest - record[0])
            latest = max(latest, record[0])
            print(*record)
        need(c.back == back, "how far time runs back")
        at, number, link, count = at + c.bytes, number + 1, c.hash, count + c.records
    need(at == end, "the end")


main()
