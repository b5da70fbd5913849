/* ---- >>arc: many corners at a time (pasted once per instruction set) ---- */
#define SPKI_I SPKI_CAT(spki_i, SPKI_S)
#define SPKI_F(name) SPKI_CAT3(name, _, SPKI_S)
#define SPKI_PICK(c, x, y) (((c) & (x)) | (~(c) & (y)))

/* One number a lane; `at` need not be in order. */
SPKI_TARGET SPKI_INLINE SPKI_I SPKI_F(spki_arc_gather)(const int32_t *from, SPKI_I at)
{
#if SPKI_LANES == 16
    return (SPKI_I)spki_gather32(0xffff, (__m512i)at, from);
#elif SPKI_LANES == 8
    return (SPKI_I)_mm256_i32gather_epi32(from, (__m256i)at, 4);
#else
    SPKI_I v = {0};
    for (int k = 0; k < SPKI_LANES; k++) v[k] = from[at[k]];
    return v;
#endif
}

SPKI_TARGET SPKI_INLINE SPKI_I SPKI_F(spki_arc_load)(const int32_t *from)
{
    SPKI_I v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* The times of a circle around a cell. */
SPKI_TARGET SPKI_INLINE void SPKI_F(spki_arc_circle)(const int32_t *cell, const int32_t *circle,
                                                     int n, int32_t *times)
{
    int k;
    for (k = 0; k + SPKI_LANES <= n; k += SPKI_LANES) {
        const SPKI_I v = SPKI_F(spki_arc_gather)(cell, SPKI_F(spki_arc_load)(circle + k));
        memcpy(times + k, &v, sizeof v);
    }
    for (; k < n; k++) times[k] = cell[circle[k]];
}

/* spki_newest_arc, in each lane for a circle of its own, whose times begin at `row`. */
typedef struct SPKI_F(spki_walk) {
    SPKI_I row, right, left, at_right, at_left, right_oldest, left_oldest, oldest, length;
} SPKI_F(spki_walk);

SPKI_TARGET SPKI_INLINE void SPKI_F(spki_walk_begin)(SPKI_F(spki_walk) *w, const int32_t *times,
                                                     SPKI_I row, int n, int least)
{
    const SPKI_I zero = {0};
    SPKI_I newest = zero, most = SPKI_F(spki_arc_gather)(times, row);
    int k;
    for (k = 1; k < n; k++) {
        const SPKI_I t = SPKI_F(spki_arc_gather)(times, row + (zero + k)), later = t > most;
        newest = SPKI_PICK(later, zero + k, newest);
        most = SPKI_PICK(later, t, most);
    }
    w->row = row;
    w->oldest = most;
    w->length = zero + least;
    w->right = newest + (zero + 1);
    w->right &= w->right < zero + n;
    w->left = newest - (zero + 1);
    w->left += (w->left < zero) & (zero + n);
    w->right_oldest = w->at_right = SPKI_F(spki_arc_gather)(times, row + w->right);
    w->left_oldest = w->at_left = SPKI_F(spki_arc_gather)(times, row + w->left);
}

SPKI_TARGET SPKI_INLINE void SPKI_F(spki_walk_step)(SPKI_F(spki_walk) *w, const int32_t *times,
                                                    int n, int k, int least)
{
    const SPKI_I zero = {0}, go_right = w->at_right > w->at_left;
    const SPKI_I next = SPKI_PICK(go_right, w->at_right, w->at_left);
    const SPKI_I passed = SPKI_PICK(go_right, w->right_oldest, w->left_oldest);
    const SPKI_I joins = (next >= w->oldest) | (zero - (int32_t)(k < least));
    SPKI_I t;
    if (k >= least) w->length = SPKI_PICK(joins, zero + (k + 1), w->length);
    w->oldest = SPKI_PICK(joins & (passed < w->oldest), passed, w->oldest);
    w->right -= go_right;
    w->right &= w->right < zero + n;
    w->left += ~go_right;
    w->left += (w->left < zero) & (zero + n);
    t = SPKI_F(spki_arc_gather)(times, w->row + SPKI_PICK(go_right, w->right, w->left));
    w->at_right = SPKI_PICK(go_right, t, w->at_right);
    w->at_left = SPKI_PICK(go_right, w->at_left, t);
    w->right_oldest = SPKI_PICK(w->at_right < w->right_oldest, w->at_right, w->right_oldest);
    w->left_oldest = SPKI_PICK(w->at_left < w->left_oldest, w->at_left, w->left_oldest);
}

/* As spki_corner_arc. */
SPKI_TARGET SPKI_INLINE SPKI_I SPKI_F(spki_walk_fits)(const SPKI_F(spki_walk) *w, int n, int least,
                                                      int most, bool minority_only)
{
    const SPKI_I zero = {0}, small = w->length <= zero + most;
    const SPKI_I large = (w->length >= zero + (n - most)) & (w->length <= zero + (n - least));
    return minority_only ? small : small | large;
}

/* The rows, of `count`, whose arcs are of a corner's length stay in `rows`; returns how many. Two
   walks at a time: each waits for its times. */
SPKI_TARGET SPKI_INLINE uint32_t SPKI_F(spki_arc_select)(const int32_t *times, int32_t *rows,
                                                         uint32_t count, int n, int least, int most,
                                                         bool minority_only)
{
    const SPKI_I zero = {0};
    uint32_t k, j, left = 0;
    for (k = count; k & (2 * SPKI_LANES - 1); k++) rows[k] = rows[0];
    for (k = 0; k < count; k += 2 * SPKI_LANES) {
        SPKI_F(spki_walk) a, b;
        SPKI_I fits[2];
        int32_t good[2 * SPKI_LANES];
        int step;
        SPKI_F(spki_walk_begin)(&a, times, SPKI_F(spki_arc_load)(rows + k) * (zero + n), n, least);
        SPKI_F(spki_walk_begin)(&b, times, SPKI_F(spki_arc_load)(rows + k + SPKI_LANES) *
                                               (zero + n), n, least);
        for (step = 1; step < n; step++) {
            SPKI_F(spki_walk_step)(&a, times, n, step, least);
            SPKI_F(spki_walk_step)(&b, times, n, step, least);
        }
        fits[0] = SPKI_F(spki_walk_fits)(&a, n, least, most, minority_only);
        fits[1] = SPKI_F(spki_walk_fits)(&b, n, least, most, minority_only);
        memcpy(good, fits, sizeof good);
        for (j = 0; j < 2 * SPKI_LANES && k + j < count; j++) {
            rows[left] = rows[k + j];
            left += good[j] != 0;
        }
    }
    return left;
}

/* What waits in the queue; corners go to `out` on. */
SPKI_TARGET SPKI_FN size_t SPKI_F(spki_corner_flush)(spki_corner_queue *q, bool minority_only,
                                                     spk_event *events, size_t out)
{
    int32_t rows[SPKI_CORNER_QUEUE];
    uint32_t k, count = q->count;
    for (k = 0; k < count; k++) rows[k] = (int32_t)k;
    q->count = 0;
    if (count > 0)
        count = SPKI_F(spki_arc_select)(q->inner, rows, count, 16, 3, 6, minority_only);
    if (count > 0)
        count = SPKI_F(spki_arc_select)(q->outer, rows, count, 20, 4, 8, minority_only);
    for (k = 0; k < count; k++) events[out++] = q->events[rows[k]];
    return out;
}

/* An event whose circles are wanted is put into the queue with them, since later events change the
   surface. An event of another kind empties it, so that all stay in order. */
SPKI_TARGET SPKI_FN size_t SPKI_F(spki_corner_apply)(spki_corner *c, spk_event *events,
                                                     size_t count)
{
    spki_grid grid = spki_map_grid(&c->map);
    spki_corner_queue q;
    size_t i, out = 0, others = 0;
    q.count = 0;
    for (i = 0; i < count; i++) {
        const int32_t *cell;
        if (__builtin_expect(events[i].kind != SPK_EVENT_CD, 0)) {
            out = SPKI_F(spki_corner_flush)(&q, c->minority_only, events, out);
            events[out++] = events[i];
            others++;
            continue;
        }
        cell = spki_corner_mark(c, &grid, &events[i]);
        if (!cell) continue;
        SPKI_F(spki_arc_circle)(cell, c->inner, 16, q.inner + 16 * q.count);
        SPKI_F(spki_arc_circle)(cell, c->outer, 20, q.outer + 20 * q.count);
        q.events[q.count++] = events[i];
        if (q.count == SPKI_CORNER_QUEUE)
            out = SPKI_F(spki_corner_flush)(&q, c->minority_only, events, out);
    }
    c->f.stats.others += others;
    return SPKI_F(spki_corner_flush)(&q, c->minority_only, events, out);
}

#undef SPKI_I
#undef SPKI_F
#undef SPKI_PICK
#undef SPKI_LANES
#undef SPKI_S
#undef SPKI_TARGET
