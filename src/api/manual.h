/* spikelib @VERSION@ - spiking neural networks in one C header, with the same spikes on every
   machine. MIT licence, The spikelib authors; the text is at the end of this file.

   Do this, in one C (C11) or C++ (C++11) file of a program:

       #define SPIKELIB_IMPLEMENTATION
       #include "spikelib.h"

   and in the others only the #include. Then
       cc -O2 program.c -o program -lm -lpthread

   CONTENTS (search for the tag)

@CONTENTS@

   FLAGS (define before the #include; the file that has SPIKELIB_IMPLEMENTATION decides)

    flag                     default  what it does, and what it costs or saves (x86-64, gcc -O2)
    SPIKELIB_IMPLEMENTATION  off      compiles the library into this file: 916 kB
    SPIKELIB_STATIC          off      with it: every function is private to this file
    SPIKELIB_MODELS          off      makes SPIKELIB_NEURON known: a neuron model of your own
    SPIKELIB_NO_AVX512       off      leaves out the AVX-512 kernels: -137 kB
    SPIKELIB_NO_AVX2         off      leaves out the AVX2 and AVX-512 kernels: -255 kB
    SPIKELIB_NO_THREADS      off      starts no threads, needs no pthread (an executor works): -5 kB
    SPIKELIB_NO_NET          off      leaves out networks, models and pictures: -487 kB
    SPIKELIB_NO_PLOT         off      leaves out the pictures (>>plot): -26 kB
    SPIKELIB_NO_EVENTS       off      leaves out event files and streams (>>event): -356 kB
    SPIKELIB_NO_SPIKEFILE    off      leaves out spike files of our own (>>spikefile): -48 kB
    SPIKELIB_LZ4             off      AEDAT4 and spike files with LZ4; link -llz4: +2 kB
    SPIKELIB_ZSTD            off      AEDAT4 (reading) and spike files with Zstandard; link -lzstd:
                                      +1.3 kB
    SPIKELIB_HDF5            off      reads spikes and events in HDF5; compile and link with what
                                      pkg-config --cflags --libs hdf5 says: +9 kB
    SPIKELIB_NO_RINGS        off      leaves out the rings (>>ring), pipelines with them: -59 kB
    SPIKELIB_NO_PIPELINE     off      leaves out pipelines and sources (>>pipeline): -40 kB
    SPIKELIB_NO_SOURCES      off      leaves out sources (>>source): -14 kB
    SPIKELIB_NO_SOCKETS      off      sources play recordings only (always so on Windows): -8 kB
    SPIKELIB_NO_XXHASH       off      digests by the built-in XXH64 even where <xxhash.h> is found;
                                      the digests are the same: -0.6 kB

    spikelib_cl.h            -        included after spikelib.h, adds OpenCL: +197 kB
    spikelib_cuda.cuh        -        included after spikelib.h, adds CUDA: +204 kB
    SPIKELIB_CL_LINK         off      spikelib_cl.h calls the OpenCL loader linked with -lOpenCL,
                                      instead of opening it at run time
    SPIKELIB_CUDA_NVRTC      off      spikelib_cuda.cuh opens CUDA's driver and NVRTC when it runs,
                                      in files that nvcc does not compile; no toolkit is needed
    SPIKELIB_CUDA_KERNELS(X) off      in one that nvcc compiles, the kernels that it is to hold
                                      (>>cuda); without, NVRTC makes them when they are needed

   No flag changes the layout of a public struct, and none changes a spike.

   THE MANUAL

   A network is described, then built, then run. Describing it:

       spk_net *net = spk_net_create(&(spk_net_desc){ .dt_ms = 0.1, .threads = 2, .seed = 42 });
       spk_pop exc = spk_net_add(net, "exc", 8000, SPK_LIF_EXP, SPK_SET({"i_dc", SPK_PA(450)}));
       spk_net_connect(net, exc, exc, &(spk_conn_desc){ .rule = SPK_FIXED_INDEGREE, .k = 800,
           .weight = spk_normal(45.0, 4.5), .delay_ms = spk_constant(1.5) });
       spk_rec spikes = spk_net_record_spikes(net, exc);
       if (spk_net_run(net, 1000.0) != SPK_OK) puts(spk_net_error(net));
       spk_plot_raster(spikes, "raster.svg");
       spk_net_destroy(net);

   Errors. These calls need no check each: a network remembers its first error, ignores what
   follows, and spk_net_build or spk_net_run returns it. spk_net_error is a sentence that names the
   object, the argument and its value. All other calls return their own spk_result, and do all or
   nothing. NULL, NaN, out of range and absurd sizes are errors in every build; nothing aborts.

   Descriptors. A zero field means its default, so `spk_net_desc d = {0};` in C, `= {}` in C++, is a
   valid start; each field's comment names the default, and spk_net_desc_defaults writes them in.
   The sentinels at both ends of a descriptor catch one that was never set to zero. C++ may hand
   over a descriptor as it is, where C takes its address: spk_net_create(d).

   Values. An spk_value is a number for each neuron or synapse: a constant, an array, a
   distribution, or a function. Parameters, initial states, weights and delays all take one.

   Views. An spk_pop names neurons: a population, a slice of one, or a union. Whatever takes a
   population takes any view. Populations of another network are an error.

   Models. Parameters and states go by name; a wrong name lists the right ones. spk_model_describe
   prints a model's parameters, defaults, units and equations. Your own model is written once, in
   statements that read like the paper, and runs on every instruction set:

       #define QIF_PARAMS(X)  X(tau_m, 10.0, "ms") X(v_peak, 30.0, "mV") X(v_reset, -68.0, "mV")
       #define QIF_DERIVED(X) X(h, dt / tau_m)
       #define QIF_STATE(X)   X(v, -65.0, "mV")
       #define QIF_INPUTS(X)  X(i_syn, SPK_DELTA)
       SPIKELIB_NEURON(qif, QIF_PARAMS, QIF_DERIVED, QIF_STATE, QIF_INPUTS,
           v += h * (K(0.05) * (v + K(65.0)) * (v + K(50.0))) + i_syn;
           spike = v >= v_peak;
           v = spk_select(spike, v_reset, v);
       )

   A literal is written K(0.05), so that it has the precision of the state; a choice is
   spk_select(condition, yes, no). Define SPIKELIB_MODELS before the #include.

   The same spikes. The same network, seed and precision give the same spikes, bit for bit, on
   every instruction set, thread count, compiler, optimisation level, operating system and CPU.
   spk_rec_digest is the XXH64 of the spikes; compare it between machines. When two digests differ,
   spk_net_state_digest after each step finds the first step that does. For this, -ffast-math is a
   compile error, and building a network tests rounding and contraction.

   Rings. A bounded queue between threads, or between processes, of items of any size:

       spk_ring *ring = spk_ring_create(&(spk_ring_desc){ .capacity = 1 << 16 });
       spk_ring_push(ring, &event);                             here,
       while (spk_ring_pop_until(ring, &event, SPK_FOREVER) == SPK_OK) use(&event);     there,
       spk_ring_close(ring);                                    and here: the loop ends

   Single items, batches (spk_ring_push_n), or spans written and read in place (spk_ring_reserve,
   spk_ring_commit). The policy says what a push to a full ring does; all that is dropped is
   counted (spk_ring_get_info). One producer and one consumer unless `kind` says more.

   Filters, views and a simulator. A filter (>>filter) works in place on whatever events a program
   holds; what it remembers does not depend on how the stream is cut. Filters form chains:

       spk_filter *flt = spk_filter_background(&(spk_background_desc){ .window_us = 2000 });
       n = spk_filter_apply(flt, events, n);

   Views (>>view) gather events into counts, surfaces and voxel grids, and spk_flow tells how fast
   what they see moves. Without a camera or a recording, spk_events_simulate (>>simulator) hands
   out a reader like that of a file, of moving bars, a dot, a texture or your pictures.

   Event files and streams (>>event). The content tells the format, then the name:

       spk_events *in = spk_events_open("recording.raw", NULL);
       spk_event e[4096];
       for (size_t n; (n = spk_events_read(in, e, 4096)) > 0;) use(e, n);
       if (spk_events_status(in) != SPK_OK) puts(spk_events_error(in));
       spk_events_close(in);

   t_us has 64 bits and goes on where a camera's counter wraps; y runs downwards in every format
   unless as_stored is set. Triggers, IMU samples and frames come through the callbacks of the
   descriptor. What makes no sense is skipped and counted (spk_events_get_stats), or an error with
   strict. Bytes that arrive in pieces go through spk_decoder_feed and spk_decoder_read, cut
   anywhere. Writing:

       spk_event_writer *out = spk_event_writer_open("copy.evt3", NULL);
       spk_event_writer_write(out, e, n);
       if (spk_event_writer_finish(out) != SPK_OK) puts(spk_event_writer_error(out));
       spk_event_writer_close(out);

   An event that the format cannot hold is an error that names it; a full disk one that says how
   many events the file holds.

   Events into neurons. A pixel map says which neuron of a population an event reaches
   (>>pixels); injected events make neurons spike in the steps their times fall into:

       spk_net_map_pixels(net, retina, &(spk_pixel_map){ .width = 640, .height = 480 });
       spk_net_inject_events(net, retina, events, n);
       spk_net_run_until_us(net, events[n - 1].t_us);

   Convolutional layers (>>conv) take events as they come and need no network around them:

       spk_conv_layer layers[] = {
           { .kind = SPK_CONV_SUM_POOL, .kernel_x = 8 },
           { .channels = 8, .kernel_x = 5, .stride_x = 2, .weights = w, .weight_count = 400,
             .tau_us = 10000 } };
       spk_conv *conv = spk_conv_create(&(spk_conv_desc){ .width = 1280, .height = 720,
           .layers = layers, .layer_count = 2, .spikes = my_spikes });
       spk_conv_feed(conv, events, n);

   The first event's time is the origin of both unless one is given; events that come when their
   step is done act in the next one, are dropped, or are an error, as asked, and are counted.

   Memory. All of it comes from the allocator of the descriptor, within its limit. A static synapse
   takes 4 bytes. Once a network is built, stepping allocates nothing except for memory recorders
   without a capacity, which grow.

   Threads. One network belongs to one thread at a time; different networks may run at the same
   time. `threads` of the descriptor counts the caller; the others are started when the network is
   built and sleep between runs. An executor hook replaces them by threads of your own. Callbacks
   of recorders come on the caller's thread, in (step, neuron) order.

   Pipelines. spk_pipeline_create, spk_pipeline_add (a function and its context for each stage) and
   spk_pipeline_start make a chain that worker threads turn; spk_pipeline_submit puts items in, with
   a key, whose items stay in order, and one of five priorities, which share nothing but the
   workers. Overload is answered in this order: batches grow, the source sees pressure and is
   refused, old items are shed; each item that is lost is counted under its reason. With `manual`
   and a clock of your own a pipeline is deterministic, one batch for each spk_pipeline_step.

   Sources. spk_source_open makes a socket, or a recording played in time, a source of events that
   never waits; spk_source_to_pipeline and spk_source_to_ring decode what is there straight into the
   room reserved for it, and spk_source_wait sleeps on up to 1,024 of them at once.

   OpenCL. Include spikelib_cl.h after spikelib.h, and say `.backend = spk_cl_backend(NULL)`, or
   SPK_BACKEND_AUTO for the best device or else the CPU: spk_net_error then says why. Nothing else
   changes, the digest included. spk_cl_devices lists devices; spk_cl_desc chooses and splits. Its
   style is chosen by the device: SPK_CL_VECTORS on a CPU, SPK_CL_ITEMS on a GPU, or SPK_CL_TILES
   where arrivals fit into local memory.

   Instruction sets. The widest that the machine has is taken; spk_net_desc.isa or the environment
   variable SPIKELIB_ISA (scalar sse2 avx2 avx512 neon generic) forces one; spk_net_get_info says
   which is active.

   Time. spk_spike.step counts steps; a spike of step n happened at n * dt ms, the end of the step
   that found it. Delays are whole steps, at least one.

   Spike files (>>spikefile) hold the spikes of a network or the events of cameras, a quarter of
   their size or less, with a checksum a chunk; they are mapped, may be larger than memory, and are
   read while they grow:

       spk_spikefile_writer *w = spk_spikefile_create("run.spk", &(spk_spikefile_desc){ 0 });
       spk_net_record(net, exc, &(spk_rec_desc){ .sink = SPK_SINK_CALLBACK,
           .callback = spk_spikefile_record, .ctx = w });      (or spk_spikefile_write_events)
       spk_net_run(net, 1000.0);
       spk_spikefile_writer_close(w);
       spk_spikefile *f = spk_spikefile_open("run.spk", NULL);
       spk_spikefile_window(f, 5000, 5100);                    (steps, or microseconds)
       while ((spikes = spk_spikefile_next_spikes(f, &count)) != NULL) ...
       spk_spikefile_close(f);

   System headers. <stddef.h>, <stdint.h> and <stdbool.h> are all that the declarations include.
   The implementation defines _GNU_SOURCE where it may, so include spikelib.h before system headers
   in the file that has SPIKELIB_IMPLEMENTATION if you compile with -std=c11. */
#ifndef SPIKELIB_API_MANUAL_H
#define SPIKELIB_API_MANUAL_H
#endif
