# spikelib. `make demo` runs the cortical microcircuit, `make test` runs the tests.
# Nothing here is needed to use the library: it is spikelib.h.

CC ?= cc
CFLAGS ?= -O2
LDLIBS ?= -lm -lpthread
PREFIX ?= /usr/local
DESTDIR ?=
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR ?= $(PREFIX)/lib
CMAKEDIR ?= $(PREFIX)/share/cmake/spikelib
PYTHON ?= python3

VERSION = $$(awk -F\" '/define SPIKELIB_VERSION "/{print $$2}' spikelib.h)

all: build/spkbench build/spkconv

# LZ4, zstd and HDF5 where they are installed; each switches its part of spikelib on.
library = $(shell pkg-config --exists $(2) 2>/dev/null && \
    echo -DSPIKELIB_$(1) $$(pkg-config --cflags --libs $(2)))
LIBRARIES = $(call library,LZ4,liblz4) $(call library,ZSTD,libzstd) $(call library,HDF5,hdf5)

build/spkconv: examples/spkconv.c spikelib.h
	@mkdir -p build
	$(CC) $(CFLAGS) examples/spkconv.c -o $@ $(LIBRARIES) $(LDLIBS)

build/spkbench: bench/spkbench.c spikelib.h
	@mkdir -p build
	$(CC) $(CFLAGS) -I. bench/spkbench.c -o $@ $(LDLIBS)

# spkbench with other projects' rings beside ours (`build/spkbench-peers ring`). PEERS names those
# that are there: Debian's libck-dev, libdpdk-dev and libreaderwriterqueue-dev; rigtorp's queues with
# RIGTORP=DIRECTORY of SPSCQueue.h and MPMCQueue.h. All are compiled with the same options.
PEERS ?= -DSPKBENCH_CK -DSPKBENCH_DPDK -DSPKBENCH_RWQ
PEER_FLAGS ?= -O3 -march=native -DNDEBUG
PEER_INCLUDE = -I. -I/usr/include/dpdk -I/usr/include/$$(uname -m)-linux-gnu/dpdk \
    $(if $(RIGTORP),-DSPKBENCH_RIGTORP -I$(RIGTORP))
bench-peers:
	@mkdir -p build
	$(CC) $(PEER_FLAGS) -DSPKBENCH_PEERS -I. -c bench/spkbench.c -o build/peers-spkbench.o
	$(CC) $(PEER_FLAGS) $(PEERS) $(PEER_INCLUDE) -c bench/ring_peers.c -o build/peers-c.o
	$(CXX) $(PEER_FLAGS) -std=c++17 $(PEERS) $(PEER_INCLUDE) -c bench/ring_peers.cc \
	    -o build/peers-cc.o
	$(CXX) build/peers-spkbench.o build/peers-c.o build/peers-cc.o -o build/spkbench-peers \
	    $(LDLIBS) $(if $(findstring DPDK,$(PEERS)),-lrte_ring -lrte_eal)

# One second of the Potjans-Diesmann microcircuit at full density; writes raster.svg here.
demo: build/microcircuit
	build/microcircuit

build/microcircuit: examples/microcircuit.c spikelib.h
	@mkdir -p build
	$(CC) -O2 examples/microcircuit.c -o $@ $(LDLIBS)

# ONLY="style golden" runs the groups named (tests/run.sh -l lists them).
test:
	@bash tests/run.sh $(ONLY)

# Each example by the command in its first comment, in build/examples.
examples:
	@bash tests/examples.sh

bench: build/spkbench
	build/spkbench info
	build/spkbench neurons
	build/spkbench build
	build/spkbench microcircuit --scale 0.1

amalgam:
	$(PYTHON) amalgamate.py

check-amalgam:
	$(PYTHON) amalgamate.py --check

install:
	mkdir -p "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(CMAKEDIR)"
	cp spikelib.h spikelib_cl.h spikelib_cuda.cuh "$(DESTDIR)$(INCLUDEDIR)/"
	for f in spikelib.pc cmake/spikelib-config.cmake cmake/spikelib-config-version.cmake; do \
	    case $$f in *.pc) to="$(LIBDIR)/pkgconfig" ;; *) to="$(CMAKEDIR)" ;; esac; \
	    sed -e "s|@VERSION@|$(VERSION)|g" -e "s|@PREFIX@|$(PREFIX)|g" \
	        -e "s|@INCLUDEDIR@|$(INCLUDEDIR)|g" -e "s|@LIBDIR@|$(LIBDIR)|g" \
	        $$f.in > "$(DESTDIR)$$to/$${f##*/}" || exit 1; \
	done

uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/spikelib.h" "$(DESTDIR)$(INCLUDEDIR)/spikelib_cl.h" "$(DESTDIR)$(INCLUDEDIR)/spikelib_cuda.cuh" "$(DESTDIR)$(LIBDIR)/pkgconfig/spikelib.pc"
	rm -rf "$(DESTDIR)$(CMAKEDIR)"

clean:
	rm -rf build

.PHONY: all bench-peers demo test examples bench amalgam check-amalgam install uninstall clean
