/* ---- >>mock-cuda-kernel: what kernels' text needs to run on the CPU ----
   Compiled by g++ in front of the text that NVRTC would get. The threads of a group are fibers of
   one thread; groups come one after the other, or, where they are launched together, each on a
   thread of its own. */
#include <atomic>
#include <setjmp.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __shared__ thread_local
#define __launch_bounds__(n)
#define __forceinline__ inline

struct mock_dim {
    unsigned x;
};
struct mock_fiber {
    ucontext_t start;
    jmp_buf at;
    bool begun, done;
    mock_dim item;
    char *stack;
};
struct mock_meeting {
    unsigned arrived, turn, bits, result;
    unsigned value[2][32];
};
struct mock_group {
    mock_fiber *fiber, *now;
    jmp_buf scheduler;
    ucontext_t back;
    unsigned items, left;
    mock_dim id, size, grid;
    mock_meeting all, half[64], warp[32];
    void (*run)(void **);
    void **param;
};
static const size_t mock_stack = 16 << 10;
static const unsigned mock_most_items = 1024;
static thread_local mock_group *mock_here;
thread_local uint64_t spki_shared[28800]; /* 225 KB */
/* No macros: the text may use these names for something else for a while. */
#define MOCK_INDEX(name, what)                                                                     \
    static struct {                                                                                \
        struct {                                                                                   \
            operator unsigned() const                                                              \
            {                                                                                      \
                return what;                                                                       \
            }                                                                                      \
        } x;                                                                                       \
    } name;
MOCK_INDEX(threadIdx, mock_here->now->item.x)
MOCK_INDEX(blockIdx, mock_here->id.x)
MOCK_INDEX(blockDim, mock_here->size.x)
MOCK_INDEX(gridDim, mock_here->grid.x)

__attribute__((noinline)) static void mock_yield(void)
{
    if (!_setjmp(mock_here->now->at)) {
        _longjmp(mock_here->scheduler, 1);
    }
}

/* The last of `n` to come lets all go on. */
static void mock_meet(mock_meeting *m, unsigned n)
{
    const unsigned turn = m->turn;
    if (++m->arrived == n) {
        m->arrived = 0;
        m->result = m->bits;
        m->bits = 0;
        m->turn++;
        return;
    }
    while (m->turn == turn) {
        mock_yield();
    }
}

static inline void __syncthreads(void)
{
    mock_meet(&mock_here->all, mock_here->left);
}
static inline unsigned __ballot_sync(unsigned mask, int c)
{
    const unsigned item = threadIdx.x, lane = item % 32;
    mock_meeting *m = &mock_here->half[item / 16];
    if (mask != 0xffffu << (lane & 16u)) {
        abort(); /* only half warps vote */
    }
    m->bits |= (unsigned)(c != 0) << lane;
    mock_meet(m, 16);
    return m->result;
}
static inline unsigned __shfl_up_sync(unsigned mask, unsigned x, unsigned d)
{
    const unsigned item = threadIdx.x, lane = item % 32;
    mock_meeting *m = &mock_here->warp[item / 32];
    const unsigned turn = m->turn & 1;
    if (mask != 0xffffffffu) {
        abort();
    }
    m->value[turn][lane] = x;
    mock_meet(m, 32);
    return lane >= d ? m->value[turn][lane - d] : x;
}
static inline void __threadfence(void)
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
}
static inline void __nanosleep(unsigned)
{
    sched_yield();
}
template <class T, class U> static inline T atomicAdd(T *p, U x)
{
    return __atomic_fetch_add(p, (T)x, __ATOMIC_SEQ_CST);
}
template <class T, class U> static inline T atomicOr(T *p, U x)
{
    return __atomic_fetch_or(p, (T)x, __ATOMIC_SEQ_CST);
}
static inline unsigned atomicMin(unsigned *p, unsigned x)
{
    unsigned was = __atomic_load_n(p, __ATOMIC_SEQ_CST);
    while (x < was && !__atomic_compare_exchange_n(p, &was, x, false, __ATOMIC_SEQ_CST,
                                                   __ATOMIC_SEQ_CST)) {
    }
    return was;
}
static inline unsigned atomicMax(unsigned *p, unsigned x)
{
    unsigned was = __atomic_load_n(p, __ATOMIC_SEQ_CST);
    while (x > was && !__atomic_compare_exchange_n(p, &was, x, false, __ATOMIC_SEQ_CST,
                                                   __ATOMIC_SEQ_CST)) {
    }
    return was;
}
static inline unsigned __popcll(unsigned long long x)
{
    return (unsigned)__builtin_popcountll(x);
}
static inline int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((unsigned long long)a * b >> 32);
}
static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
static inline double __dsqrt_rn(double x)
{
    return sqrt(x);
}
#define MOCK_RN(type, letter)                                                                      \
    static inline type __##letter##add_rn(type a, type b) { return a + b; }                        \
    static inline type __##letter##sub_rn(type a, type b) { return a - b; }                        \
    static inline type __##letter##mul_rn(type a, type b) { return a * b; }                        \
    static inline type __##letter##div_rn(type a, type b) { return a / b; }
MOCK_RN(float, f)
MOCK_RN(double, d)
template <class To, class From> static inline To mock_as(From x)
{
    To to;
    static_assert(sizeof to == sizeof x, "as");
    memcpy(&to, &x, sizeof to);
    return to;
}
#define __float_as_int(x) mock_as<int, float>(x)
#define __int_as_float(x) mock_as<float, int>(x)
#define __double_as_longlong(x) mock_as<long long, double>(x)
#define __longlong_as_double(x) mock_as<double, long long>(x)

/* -- running a group -- */

static void mock_begin(void)
{
    mock_group *g = mock_here;
    g->run(g->param);
    g->now->done = true;
    g->left--;
    _longjmp(g->scheduler, 1);
}

static void mock_run_group(mock_group *g)
{
    mock_here = g;
    memset(&g->all, 0, sizeof g->all);
    memset(g->half, 0, sizeof g->half);
    memset(g->warp, 0, sizeof g->warp);
    g->left = g->items;
    memset(spki_shared, 0xa5, sizeof spki_shared);
    for (unsigned k = 0; k < g->items; k++) {
        g->fiber[k].begun = g->fiber[k].done = false;
        g->fiber[k].item.x = k;
    }
    for (volatile unsigned k = 0; g->left; k = (k + 1) % g->items) {
        mock_fiber *f = &g->fiber[k];
        if (f->done || _setjmp(g->scheduler)) {
            continue;
        }
        g->now = f;
        if (f->begun) {
            _longjmp(f->at, 1);
        }
        f->begun = true;
        getcontext(&f->start);
        f->start.uc_stack.ss_sp = f->stack;
        f->start.uc_stack.ss_size = mock_stack;
        f->start.uc_link = nullptr;
        makecontext(&f->start, mock_begin, 0);
        setcontext(&f->start);
    }
}

/* Groups are kept for the next launch. */
static mock_group *mock_spare[256];
static unsigned mock_spares;

static mock_group *mock_new_group(unsigned items)
{
    for (unsigned k = 0; k < mock_spares; k++) {
        if (mock_spare[k]->items == items) {
            mock_group *g = mock_spare[k];
            mock_spare[k] = mock_spare[--mock_spares];
            return g;
        }
    }
    mock_group *g = (mock_group *)calloc(1, sizeof *g);
    g->items = items;
    g->fiber = (mock_fiber *)calloc(items, sizeof *g->fiber);
    for (unsigned k = 0; k < items; k++) {
        g->fiber[k].stack = (char *)malloc(mock_stack);
    }
    return g;
}

static void mock_free_group(mock_group *g)
{
    mock_spare[mock_spares++] = g; /* fewer than there may be at a time */
}

static void *mock_thread(void *group)
{
    mock_run_group((mock_group *)group);
    return nullptr;
}

template <class... A, size_t... I>
static void mock_unpack(void (*f)(A...), void **param, std::index_sequence<I...>)
{
    (void)param;
    f(*(A *)param[I]...);
}
template <class... A> static void mock_call(void (*f)(A...), void **param)
{
    mock_unpack(f, param, std::index_sequence_for<A...>());
}
template <class... A> static unsigned mock_count(void (*)(A...))
{
    return sizeof...(A);
}

/* Bytes of parameter k; 0: there are no more. */
template <class... A> static unsigned mock_size(void (*)(A...), unsigned k)
{
    static const unsigned size[] = {sizeof(A)..., 0};
    return k < sizeof...(A) ? size[k] : 0;
}

struct mock_entry {
    const char *name;
    void (*run)(void **);
    unsigned params;
    unsigned (*size)(unsigned);
};
extern const mock_entry mock_entries[];
#define MOCK_ENTRY(name)                                                                           \
    {#name, [](void **p) { mock_call(name, p); }, mock_count(name),                                \
     [](unsigned k) { return mock_size(name, k); }},

/* Of a unit that holds kernels as code. */
template <auto f> static const void *mock_entry_at(void)
{
    static const mock_entry entry = {"", [](void **p) { mock_call(f, p); }, mock_count(f),
                                     [](unsigned k) { return mock_size(f, k); }};
    return &entry;
}

extern "C" unsigned mock_param_size(const void *entry, unsigned k)
{
    return ((const mock_entry *)entry)->size(k);
}

extern "C" const void *mock_find(const char *name, unsigned *params)
{
    for (const mock_entry *e = mock_entries; e->name; e++) {
        if (strcmp(e->name, name) == 0) {
            *params = e->params;
            return e;
        }
    }
    return nullptr;
}

extern "C" void mock_launch(const void *entry, unsigned groups, unsigned items, int together,
                            void **param)
{
    if (items > mock_most_items || items % 32 != 0) {
        abort();
    }
    pthread_t thread[64];
    mock_group *group[64];
    const unsigned many = together ? groups : 1;
    for (unsigned k = 0; k < many; k++) {
        group[k] = mock_new_group(items);
        group[k]->run = ((const mock_entry *)entry)->run;
        group[k]->param = param;
        group[k]->size.x = items;
        group[k]->grid.x = groups;
    }
    for (unsigned k = 0; k < groups; k++) {
        group[together ? k : 0]->id.x = k;
        if (together) {
            pthread_create(&thread[k], nullptr, mock_thread, group[k]);
        } else {
            mock_run_group(group[0]);
        }
    }
    for (unsigned k = 0; together && k < groups; k++) {
        pthread_join(thread[k], nullptr);
    }
    for (unsigned k = 0; k < many; k++) {
        mock_free_group(group[k]);
    }
}
