/* ---- >>filters: what all event filters share, chains and custom ones ---- */
#ifndef SPIKELIB_EVENT_FILTER_H
#define SPIKELIB_EVENT_FILTER_H

#include "../api/filter.h"
#include "../core/alloc.h"
#include "../core/base.h"
#include "../core/cpu.h"

#include <stdarg.h>

/* What makes a kind of filter. `apply` counts what it cannot tell from the number that is left:
   others and outside. `reset` gets a filter of which nothing but its descriptor counts. */
typedef struct spki_filter_ops {
    size_t (*apply)(spk_filter *filter, spk_event *events, size_t count);
    void (*reset)(spk_filter *filter);
    void (*release)(spk_filter *filter);
} spki_filter_ops;

struct spk_filter {
    const spki_filter_ops *ops;
    spki_mem mem;
    size_t size; /* of this block: the kind's own fields follow this struct */
    spk_filter_stats stats;
    spk_isa isa;
    spk_result status;
    bool grew_wrong; /* the status came while growing: a reset takes it back */
    char name[32];
    char error[224];
};

__attribute__((format(printf, 3, 4))) SPKI_FN void
spki_filter_fail(spk_filter *f, spk_result status, const char *format, ...)
{
    va_list args;
    size_t used;
    if (f->status != SPK_OK) return;
    f->status = status;
    if (f->ops->apply) snprintf(f->error, sizeof f->error, "filter \"%s\": ", f->name);
    else snprintf(f->error, sizeof f->error, "%s: ", f->name); /* a view or a flow */
    used = strlen(f->error);
    va_start(args, format);
    vsnprintf(f->error + used, sizeof f->error - used, format, args);
    va_end(args);
}

/* A filter of `size` bytes with what every descriptor holds. `wanted`: NULL where a kind has only
   one kernel. NULL without memory. */
SPKI_FN spk_filter *spki_filter_new(const char *name, size_t size, const spki_filter_ops *ops,
                                    const spk_allocator *allocator, size_t limit, bool garbage,
                                    spk_isa wanted)
{
    spki_mem mem;
    spk_filter *f;
    const char *why = "";
    spk_isa isa = SPK_ISA_AUTO;
    spk_result result;
    spki_mem_init(&mem, garbage ? NULL : allocator, garbage ? 0 : limit);
    f = (spk_filter *)spki_alloc(&mem, 1, size);
    if (!f) return NULL;
    f->ops = ops;
    f->mem = mem;
    f->size = size;
    snprintf(f->name, sizeof f->name, "%s", name);
    if (garbage) {
        spki_filter_fail(f, SPK_ERR_UNINITIALISED,
                         "the descriptor's sentinels are not 0: start it with = {0}");
        return f;
    }
    result = spki_isa_resolve(wanted, &isa, &why);
    if (result == SPK_ERR_NAME)
        spki_filter_fail(f, result, "isa \"%s\": %s", getenv("SPIKELIB_ISA"), why);
    else if (result != SPK_OK)
        spki_filter_fail(f, result, "isa \"%s\": %s", spk_isa_name(isa), why);
    f->isa = isa;
    return f;
}

SPIKELIB_API size_t spk_filter_apply(spk_filter *filter, spk_event *events, size_t count)
{
    size_t kept;
    uint64_t others;
    if (!filter || filter->status != SPK_OK || !events || count == 0) return 0;
    others = filter->stats.others;
    kept = filter->ops->apply(filter, events, count);
    others = filter->stats.others - others;
    filter->stats.events += count - others;
    filter->stats.passed += kept - others;
    filter->stats.dropped += count - kept;
    return kept;
}

SPIKELIB_API void spk_filter_reset(spk_filter *filter)
{
    if (!filter) return;
    if (filter->grew_wrong) {
        filter->status = SPK_OK;
        filter->error[0] = 0;
        filter->grew_wrong = false;
    }
    memset(&filter->stats, 0, sizeof filter->stats);
    if (filter->status == SPK_OK && filter->ops->reset) filter->ops->reset(filter);
}

SPIKELIB_API spk_result spk_filter_get_stats(const spk_filter *filter, spk_filter_stats *stats)
{
    if (!filter || !stats) return SPK_ERR_NULL;
    *stats = filter->stats;
    return SPK_OK;
}

SPIKELIB_API spk_result spk_filter_status(const spk_filter *filter)
{
    return filter ? filter->status : SPK_ERR_NULL;
}

SPIKELIB_API const char *spk_filter_error(const spk_filter *filter)
{
    return filter ? filter->error : "the filter is NULL (there was no memory to create it)";
}

SPIKELIB_API const char *spk_filter_name(const spk_filter *filter)
{
    return filter ? filter->name : "";
}

SPIKELIB_API void spk_filter_destroy(spk_filter *filter)
{
    spki_mem mem;
    if (!filter) return;
    if (filter->ops->release) filter->ops->release(filter);
    mem = filter->mem;
    spki_free(&mem, filter, 1, filter->size);
}

/* -- chains -- */

typedef struct spki_chain {
    spk_filter f;
    spk_filter **filters;
    size_t count;
} spki_chain;

/* 512 events are 8 kB: they stay in the first-level cache beside the filters' own data. */
#define SPKI_CHAIN_PIECE ((size_t)512)

/* The first filter's count of others is the chain's: all let them pass. */
SPKI_FN size_t spki_chain_apply(spk_filter *f, spk_event *events, size_t count)
{
    spki_chain *chain = (spki_chain *)f;
    size_t done, out = 0, k;
    uint64_t others = chain->count ? chain->filters[0]->stats.others : 0;
    for (done = 0; done < count && f->status == SPK_OK; done += SPKI_CHAIN_PIECE) {
        size_t n = SPKI_MIN(SPKI_CHAIN_PIECE, count - done);
        spk_event *piece = events + done;
        for (k = 0; k < chain->count && n > 0; k++) {
            n = spk_filter_apply(chain->filters[k], piece, n);
            if (chain->filters[k]->status == SPK_OK) continue;
            spki_filter_fail(f, chain->filters[k]->status, "%s", chain->filters[k]->error);
            f->grew_wrong = true;
        }
        if (events + out != piece) memmove(events + out, piece, n * sizeof *piece);
        out += n;
    }
    if (chain->count) {
        f->stats.others += chain->filters[0]->stats.others - others;
        return out;
    }
    for (k = 0; k < count; k++) f->stats.others += events[k].kind != SPK_EVENT_CD;
    return count;
}

SPKI_FN void spki_chain_reset(spk_filter *f)
{
    spki_chain *chain = (spki_chain *)f;
    size_t k;
    for (k = 0; k < chain->count; k++) spk_filter_reset(chain->filters[k]);
}

SPKI_FN void spki_chain_release(spk_filter *f)
{
    spki_chain *chain = (spki_chain *)f;
    size_t k;
    for (k = 0; k < chain->count; k++) spk_filter_destroy(chain->filters[k]);
    spki_free(&f->mem, chain->filters, chain->count, sizeof *chain->filters);
}

SPIKELIB_API spk_filter *spk_filter_chain(spk_filter *const *filters, size_t count)
{
    static const spki_filter_ops ops = {spki_chain_apply, spki_chain_reset, spki_chain_release};
    const spk_allocator *allocator = NULL;
    spki_chain *chain;
    size_t k;
    if (!filters) count = 0;
    for (k = 0; k < count && !allocator; k++)
        if (filters[k]) allocator = &filters[k]->mem.a;
    chain = (spki_chain *)spki_filter_new("chain", sizeof *chain, &ops, allocator, 0, false,
                                          SPK_ISA_SCALAR);
    if (!chain) return NULL;
    chain->filters = (spk_filter **)spki_alloc(&chain->f.mem, count, sizeof *chain->filters);
    if (!chain->filters) {
        spk_filter_destroy(&chain->f);
        return NULL;
    }
    chain->count = count;
    for (k = 0; k < count; k++) {
        chain->filters[k] = filters[k];
        if (!filters[k]) spki_filter_fail(&chain->f, SPK_ERR_NULL, "filter %llu is NULL",
                                         (unsigned long long)k);
        else if (filters[k]->status != SPK_OK)
            spki_filter_fail(&chain->f, filters[k]->status, "%s", filters[k]->error);
    }
    return &chain->f;
}

SPIKELIB_API spk_filter *spk_filter_chain_at(const spk_filter *chain, size_t index)
{
    const spki_chain *c = (const spki_chain *)chain;
    if (!chain || chain->ops->apply != spki_chain_apply || index >= c->count) return NULL;
    return c->filters[index];
}

/* -- custom -- */

typedef struct spki_custom {
    spk_filter f;
    spk_custom_desc desc;
} spki_custom;

SPKI_FN size_t spki_custom_apply(spk_filter *f, spk_event *events, size_t count)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    size_t k, others = 0, kept;
    for (k = 0; k < count; k++) others += events[k].kind != SPK_EVENT_CD;
    kept = d->apply(d->ctx, events, count);
    f->stats.others += others;
    if (kept >= others && kept <= count) return kept;
    spki_filter_fail(f, SPK_ERR_RANGE, "apply returned %llu of %llu events, %llu of them not CD",
                     (unsigned long long)kept, (unsigned long long)count,
                     (unsigned long long)others);
    return others; /* what it left is not known */
}

SPKI_FN void spki_custom_reset(spk_filter *f)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    if (d->reset) d->reset(d->ctx);
}

SPKI_FN void spki_custom_release(spk_filter *f)
{
    const spk_custom_desc *d = &((spki_custom *)f)->desc;
    if (d->destroy) d->destroy(d->ctx);
}

SPIKELIB_API spk_filter *spk_filter_custom(const spk_custom_desc *desc)
{
    static const spki_filter_ops ops = {spki_custom_apply, spki_custom_reset, spki_custom_release};
    const bool garbage = desc && (desc->begin_sentinel || desc->end_sentinel);
    spki_custom *c = (spki_custom *)spki_filter_new(
        "custom", sizeof *c, &ops, desc ? &desc->allocator : NULL, 0, garbage, SPK_ISA_SCALAR);
    if (!c || c->f.status != SPK_OK) return (spk_filter *)c;
    if (desc) c->desc = *desc;
    if (c->desc.name) snprintf(c->f.name, sizeof c->f.name, "%s", c->desc.name);
    c->desc.name = NULL;
    if (!c->desc.apply) spki_filter_fail(&c->f, SPK_ERR_NULL, "apply is NULL");
    return &c->f;
}

#endif
