/* ---- >>gpu-source: the program of a network, from the statements of its models ---- */
#ifndef SPIKELIB_GPU_HOST_SOURCE_H
#define SPIKELIB_GPU_HOST_SOURCE_H

#include "device.h"
#include "texts.h"

/* Words of the records that kernels read; the numbers go into the text as macros. */
enum {
    SPKI_GPU_POP_MODEL,
    SPKI_GPU_POP_TAG,
    SPKI_GPU_POP_GROUP,
    SPKI_GPU_POP_COUNT,
    SPKI_GPU_POP_PART,
    SPKI_GPU_POP_PARTS,
    SPKI_GPU_POP_GROUPS, /* of the whole population, and those with a shadow */
    SPKI_GPU_POP_SHADOWS,
    SPKI_GPU_POP_SHADOW,
    SPKI_GPU_POP_DT,     /* bits of a double; for code that nvcc compiled, which does not know it */
    SPKI_GPU_POP_VARIED, /* four words, a bit a real: differs between neurons; for the same */
    SPKI_GPU_POP_CURRENT = SPKI_GPU_POP_VARIED + 4,
    SPKI_GPU_POP_OFFSET,
    SPKI_GPU_POP_QUANTUM,
    SPKI_GPU_POP_AMOUNT = SPKI_GPU_POP_QUANTUM + 8,
    SPKI_GPU_POP_LISTS = SPKI_GPU_POP_AMOUNT + 8, /* states, then reals */

    SPKI_GPU_PART_KIND = 0, /* 0 Poisson, 1 current */
    SPKI_GPU_PART_START,
    SPKI_GPU_PART_STOP,
    SPKI_GPU_PART_FIRST,
    SPKI_GPU_PART_COUNT,
    SPKI_GPU_PART_POS,
    SPKI_GPU_PART_NEG,
    SPKI_GPU_PART_OWN,
    SPKI_GPU_PART_STREAM,
    SPKI_GPU_PART_VALUE,
    SPKI_GPU_PART_TABLE,
    SPKI_GPU_PART_NOISE,
    SPKI_GPU_PART_SD,
    SPKI_GPU_PART_SIZE,

    SPKI_GPU_BLOCK_POP = 0,
    SPKI_GPU_BLOCK_FIRST,
    SPKI_GPU_BLOCK_COUNT,
    SPKI_GPU_BLOCK_ACC,
    SPKI_GPU_BLOCK_STRIDE,
    SPKI_GPU_BLOCK_TILE,
    SPKI_GPU_BLOCK_PIECE, /* of its tile */
    SPKI_GPU_BLOCK_SIZE,

    SPKI_GPU_PIECE_RECORD = 0,
    SPKI_GPU_PIECE_WORDS,
    SPKI_GPU_PIECE_FIRST,
    SPKI_GPU_PIECE_LANES,
    SPKI_GPU_PIECE_STATES,
    SPKI_GPU_PIECE_SIZE
};

/* One model with one choice of which parameters differ between neurons. */
typedef struct spki_gpu_variant {
    spk_model model;
    uint64_t varied[4]; /* a bit a real */
    uint64_t alone;     /* 1: vectors, and no drive acts on them */
} spki_gpu_variant;

#define SPKI_GPU_REALS 256u /* parameters and derived of one model */

/* Where a statement stands in the text, so that a compiler's complaint can quote it. */
typedef struct spki_gpu_line {
    uint32_t line, size;
    spk_model model;
    const char *statement;
} spki_gpu_line;

typedef struct spki_gpu_source {
    spki_gpu_bytes text, lines; /* of spki_gpu_line */
    uint32_t line;              /* of the next character, from 1 */
} spki_gpu_source;

SPKI_FN void spki_gpu_put(spki_gpu_source *s, const char *piece, size_t n)
{
    char *to = (char *)spki_gpu_more(&s->text, n);
    for (size_t k = 0; to && k < n; k++) {
        to[k] = piece[k];
        s->line += piece[k] == '\n';
    }
}

__attribute__((format(printf, 2, 3))) SPKI_FN void spki_gpu_say(spki_gpu_source *s,
                                                                const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    spki_gpu_put(s, line, strlen(line));
}

SPKI_FN void spki_gpu_paste(spki_gpu_source *s, const char *const *lines)
{
    for (; *lines; lines++) {
        spki_gpu_put(s, *lines, strlen(*lines));
    }
}

/* The statements, a line each: a statement ends at a semicolon or brace outside parentheses. */
SPKI_FN void spki_gpu_statements(spki_gpu_source *s, spk_model model)
{
    const char *from = model->text;
    int depth = 0;
    for (const char *p = model->text;; p++) {
        depth += *p == '(' ? 1 : *p == ')' ? -1 : 0;
        if (*p && (depth || (*p != ';' && *p != '{' && *p != '}'))) {
            continue;
        }
        const char *end = *p ? p + 1 : p;
        while (from < end && *from == ' ') {
            from++;
        }
        spki_gpu_line *line = (spki_gpu_line *)spki_gpu_more(&s->lines, sizeof *line);
        if (line) {
            line->line = s->line;
            line->model = model;
            line->statement = from;
            line->size = (uint32_t)(end - from);
        }
        spki_gpu_put(s, from, (size_t)(end - from));
        spki_gpu_put(s, "\n", 1);
        from = end;
        if (!*p) {
            return;
        }
    }
}

SPKI_FN bool spki_gpu_varies(const spki_gpu_variant *v, uint32_t real)
{
    return (v->varied[real / 64] >> (real % 64)) & 1;
}

/* How the block function gets real number k of the model. */
SPKI_FN void spki_gpu_real_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t k,
                                const char *name, bool head)
{
    if (head && !spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const spki_elem spki_u%u = spki_same(spki_e, SPKI_REALS + %uu);\n", k, k);
    } else if (!head && spki_gpu_varies(v, k)) {
        spki_gpu_say(s, "const real %s = spki_each(spki_e, SPKI_REALS + %uu, spki_lane);\n", name,
                     k);
    } else if (!head) {
        spki_gpu_say(s, "const real %s = spki_zero + spki_u%u;\n", name, k);
    }
}

SPKI_FN void spki_gpu_reals_text(spki_gpu_source *s, const spki_gpu_variant *v, bool head)
{
    const spk_model m = v->model;
    for (uint32_t k = 0; k < m->param_count; k++) {
        spki_gpu_real_text(s, v, k, m->param[k].name, head);
    }
    for (uint32_t k = 0; k < m->derived_count; k++) {
        spki_gpu_real_text(s, v, m->param_count + k, m->derived[k], head);
    }
}

/* What does not change within a block: where states lie, and the quanta of receptors. */
SPKI_FN void spki_gpu_places_text(spki_gpu_source *s, spk_model m)
{
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "SPKI_GLOBAL spki_stored *const spki_s%u = spki_state(spki_e, %uu);\n", k,
                     k);
    }
    for (uint32_t k = 0; k < m->input_count; k++) {
        if ((int)(m->input[k].value + 0.5) <= SPK_INH) {
            spki_gpu_say(s, "const spki_elem spki_q%u = spki_quantum(spki_e, %uu);\n", receptor,
                         receptor);
            receptor++;
        }
    }
}

/* The inputs of all four vectors of an item. */
SPKI_FN void spki_gpu_inputs_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        if (v->alone && kind != SPK_RANDOM) {
            continue;
        }
        spki_gpu_say(s, "real spki_i%u[4];\n", k);
        if (kind <= SPK_INH) {
            spki_gpu_say(s, "spki_receptor(spki_e, %uu, spki_q%u, spki_i%u);\n", receptor,
                         receptor, k);
            receptor++;
        } else if (kind == SPK_RANDOM) {
            spki_gpu_say(s, "spki_random(spki_e, %uu, spki_i%u);\n", k, k);
        } else {
            spki_gpu_say(s, "spki_current(spki_e, spki_i%u);\n", k);
        }
    }
}

/* Those of the vector at hand. */
SPKI_FN void spki_gpu_input_text(spki_gpu_source *s, const spki_gpu_variant *v)
{
    const spk_model m = v->model;
    uint32_t receptor = 0;
    for (uint32_t k = 0; k < m->input_count; k++) {
        const int kind = (int)(m->input[k].value + 0.5);
        const char *name = m->input[k].name;
        if (!v->alone || kind == SPK_RANDOM) {
            spki_gpu_say(s, "const real %s = spki_i%u[spki_w];\n", name, k);
        } else if (kind <= SPK_INH) {
            spki_gpu_say(s, "const real %s = spki_undriven(spki_e, %uu, spki_q%u, spki_w);\n",
                         name, receptor, receptor);
            receptor++;
        } else {
            spki_gpu_say(s, "const real %s = spki_undriven_current(spki_e, spki_w);\n", name);
        }
    }
}

/* The statements once more, for the shadow of the item's neuron (>>shadow). */
SPKI_FN void spki_gpu_shadow_text(spki_gpu_source *s, spk_model m)
{
    const int v = spki_shadow_state(m);
    spki_gpu_say(s,
                 "SPKI_GLOBAL float *const spki_h = spki_shadow(spki_e, %uu);\n"
                 "if (spki_h) {\n"
                 "SPKI_GLOBAL float *const spki_p = spki_h + (16u * spki_w + spki_low);\n"
                 "const mask spki_was = spike;\n",
                 (m->state_count + 3) * SPKI_GROUP);
    if (v >= 0) {
        spki_gpu_say(s, "const real spki_v = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     (uint32_t)v, (uint32_t)v);
    }
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_p[%u];\n", m->state[k].name, k * SPKI_GROUP);
    }
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_p[%u] = %s;\n", k * SPKI_GROUP, m->state[k].name);
    }
    spki_gpu_say(s, "spki_compare(spki_p + %u, %s, spki_was, spike);\n}\n",
                 m->state_count * SPKI_GROUP, v >= 0 ? "spki_v - v" : "spki_zero");
}

/* A function that updates a block of neurons of one variant. */
SPKI_FN void spki_gpu_variant_text(spki_gpu_source *s, const spki_gpu_variant *v, uint32_t number,
                                   bool half, bool shadow)
{
    const spk_model m = v->model;
    const uint32_t words = half ? (m->state_count + 1) / 2 : 0;
    spki_gpu_say(s, "/* %.100s */\n#define SPKI_REALS %uu\n", m->name, m->state_count);
    spki_gpu_say(s,
                 "SPKI_DEVICE void spki_block_%u(spki_env *spki_e, const spki_run *spki_run,\n"
                 "    SPKI_GLOBAL const uint64_t *spki_block, spki_elem spki_dt)\n{\n"
                 "const uint32_t spki_first = (uint32_t)spki_block[SPKI_BLOCK_FIRST];\n"
                 "const uint32_t spki_groups = (uint32_t)spki_block[SPKI_BLOCK_COUNT];\n"
                 "const real spki_zero = SPKI_NIL(real);\n"
                 "const real dt = spki_zero + spki_dt;\n",
                 number);
    spki_gpu_reals_text(s, v, true);
    spki_gpu_places_text(s, m);
    spki_gpu_say(s, "SPKI_BEGIN_BLOCK\n");
    spki_gpu_inputs_text(s, v);
    for (uint32_t k = 0; k < words; k++) {
        spki_gpu_say(s, "spki_words spki_r%u[4];\n"
                        "spki_draw(spki_e, spki_e->step, SPKI_STREAM_STORAGE | %uu, spki_r%u);\n",
                     k, k, k);
    }
    spki_gpu_say(s, "for (uint32_t spki_w = 0; spki_w < 4; spki_w++) {\n"
                    "const uint32_t spki_lane = spki_e->group * 64u + 16u * spki_w + spki_low;\n");
    spki_gpu_reals_text(s, v, false);
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "real %s = spki_get(spki_e, %uu, spki_s%u + spki_lane);\n",
                     m->state[k].name, k, k);
    }
    spki_gpu_input_text(s, v);
    spki_gpu_say(s, "mask spike = spki_zero > spki_zero;\n{\n");
    spki_gpu_statements(s, m);
    spki_gpu_say(s, "}\n");
    for (uint32_t k = 0; k < m->state_count; k++) {
        spki_gpu_say(s, "spki_put(spki_e, %uu, spki_s%u + spki_lane, %s, ", k, k,
                     m->state[k].name);
        if (half) {
            spki_gpu_say(s, "spki_r%u[spki_w]);\n", k / 2);
        } else {
            spki_gpu_say(s, "SPKI_NIL(spki_words));\n");
        }
    }
    if (shadow) {
        spki_gpu_shadow_text(s, m);
    }
    spki_gpu_say(s, "SPKI_SPIKED(spike, spki_w)\n}\nSPKI_END_BLOCK\n}\n#undef SPKI_REALS\n");
}

typedef struct spki_gpu_choice {
    uint32_t lanes;
    bool is_double, half, shadow, wide, wide_weights, byte_weights, owned;
    double dt;
    uint32_t first_delay, span, stride; /* of arrivals in local memory: step `first_delay` is the
                                           first of `span`, each `stride` slots; span 0: none */
} spki_gpu_choice;

SPKI_FN void spki_gpu_define(spki_gpu_source *s, const char *name, uint32_t value)
{
    spki_gpu_say(s, "#define SPKI_%s %uu\n", name, value);
}

/* Prelude and mathematics: what every program begins with. */
SPKI_FN void spki_gpu_head(spki_gpu_source *s, const spki_gpu_api *api, const spki_gpu_choice *c)
{
    spki_gpu_say(s,
                 "#define SPKI_ON_DEVICE\n#define SPKI_LANES %u\n#define SPKI_IS_DOUBLE %d\n"
                 "#define SPKI_HALF %d\n#define SPKI_WIDE %d\n#define SPKI_WIDE_WEIGHTS %d\n"
                 "#define SPKI_BYTE_WEIGHTS %d\n#define SPKI_OWNED %d\n#define SPKI_E %s\n"
                 "#define SPKI_S %c%u\n",
                 c->lanes, c->is_double, c->half, c->wide, c->wide_weights, c->byte_weights,
                 c->owned, c->is_double ? "double" : "float", c->is_double ? 'd' : 'f', c->lanes);
    spki_gpu_say(s,
                 "#define SPKI_LOCAL_FIRST %uu\n#define SPKI_LOCAL_SPAN %u\n"
                 "#define SPKI_LOCAL_STRIDE %uu\n",
                 c->first_delay, c->span, c->stride);
    spki_gpu_paste(s, api->prelude);
    spki_gpu_paste(s, spki_gpu_text_math);
}

/* What the kernels' text calls these numbers, as SPKI_NAME. */
#define SPKI_GPU_NUMBERS(X)                                                                        \
    X(POP_MODEL, SPKI_GPU_POP_MODEL) X(POP_TAG, SPKI_GPU_POP_TAG)                                  \
    X(POP_GROUP, SPKI_GPU_POP_GROUP) X(POP_COUNT, SPKI_GPU_POP_COUNT)                              \
    X(POP_PART, SPKI_GPU_POP_PART) X(POP_PARTS, SPKI_GPU_POP_PARTS)                                \
    X(POP_GROUPS, SPKI_GPU_POP_GROUPS) X(POP_SHADOWS, SPKI_GPU_POP_SHADOWS)                        \
    X(POP_SHADOW, SPKI_GPU_POP_SHADOW) X(POP_DT, SPKI_GPU_POP_DT)                                  \
    X(POP_VARIED, SPKI_GPU_POP_VARIED) X(POP_CURRENT, SPKI_GPU_POP_CURRENT)                        \
    X(POP_OFFSET, SPKI_GPU_POP_OFFSET) X(POP_QUANTUM, SPKI_GPU_POP_QUANTUM)                        \
    X(POP_AMOUNT, SPKI_GPU_POP_AMOUNT) X(POP_STATE, SPKI_GPU_POP_LISTS)                            \
    X(POP_REAL, SPKI_GPU_POP_LISTS) X(PART_KIND, SPKI_GPU_PART_KIND)                               \
    X(PART_START, SPKI_GPU_PART_START) X(PART_STOP, SPKI_GPU_PART_STOP)                            \
    X(PART_FIRST, SPKI_GPU_PART_FIRST) X(PART_COUNT, SPKI_GPU_PART_COUNT)                          \
    X(PART_POS, SPKI_GPU_PART_POS) X(PART_NEG, SPKI_GPU_PART_NEG) X(PART_OWN, SPKI_GPU_PART_OWN)   \
    X(PART_STREAM, SPKI_GPU_PART_STREAM) X(PART_VALUE, SPKI_GPU_PART_VALUE)                        \
    X(PART_TABLE, SPKI_GPU_PART_TABLE) X(PART_NOISE, SPKI_GPU_PART_NOISE)                          \
    X(PART_SD, SPKI_GPU_PART_SD) X(PART_SIZE, SPKI_GPU_PART_SIZE)                                  \
    X(BLOCK_POP, SPKI_GPU_BLOCK_POP) X(BLOCK_FIRST, SPKI_GPU_BLOCK_FIRST)                          \
    X(BLOCK_COUNT, SPKI_GPU_BLOCK_COUNT) X(BLOCK_ACC, SPKI_GPU_BLOCK_ACC)                          \
    X(BLOCK_STRIDE, SPKI_GPU_BLOCK_STRIDE) X(BLOCK_TILE, SPKI_GPU_BLOCK_TILE)                      \
    X(BLOCK_PIECE, SPKI_GPU_BLOCK_PIECE) X(BLOCK_SIZE, SPKI_GPU_BLOCK_SIZE)                        \
    X(PIECE_RECORD, SPKI_GPU_PIECE_RECORD) X(PIECE_WORDS, SPKI_GPU_PIECE_WORDS)                    \
    X(PIECE_FIRST, SPKI_GPU_PIECE_FIRST) X(PIECE_LANES, SPKI_GPU_PIECE_LANES)                      \
    X(PIECE_STATES, SPKI_GPU_PIECE_STATES) X(PIECE_SIZE, SPKI_GPU_PIECE_SIZE)                      \
    X(BLOCK_GROUPS, SPKI_GPU_BLOCK_GROUPS) X(SCAN_ITEMS, SPKI_GPU_SCAN_ITEMS)                      \
    X(BATCH_ITEMS, SPKI_GPU_BATCH_ITEMS) X(BATCH_GROUPS, SPKI_GPU_BATCH_GROUPS)                    \
    X(LIST_IDS, SPKI_GPU_LIST_IDS) X(TEAM, SPKI_GPU_TEAM)

SPKI_FN void spki_gpu_numbers(spki_gpu_source *s)
{
#define SPKI_GPU_NUMBER(name, value) {#name, value},
    static const struct {
        const char *name;
        uint32_t value;
    } number[] = {SPKI_GPU_NUMBERS(SPKI_GPU_NUMBER)};
#undef SPKI_GPU_NUMBER
    for (size_t k = 0; k < sizeof number / sizeof number[0]; k++) {
        spki_gpu_define(s, number[k].name, number[k].value);
    }
    spki_gpu_define(s, "STREAM_INPUT", SPKI_STREAM_INPUT);
    spki_gpu_define(s, "STREAM_STORAGE", SPKI_STREAM_STORAGE);
}

/* A name that a model uses and the language does not leave free. */
SPKI_FN void spki_gpu_names(spki_gpu_source *s, const char *const *keywords, bool begin)
{
    for (; *keywords; keywords++) {
        if (begin) {
            spki_gpu_say(s, "#define %s spki_name_%s\n", *keywords, *keywords);
        } else {
            spki_gpu_say(s, "#undef %s\n", *keywords);
        }
    }
}

/* The whole program. False: no memory. */
SPKI_FN bool spki_gpu_program_text(spki_gpu_source *s, const spki_gpu_api *api,
                                   const spki_gpu_choice *c, const spki_gpu_variant *variant,
                                   uint32_t variants)
{
    uint64_t bits;
    memcpy(&bits, &c->dt, sizeof bits);
    s->line = 1;
    spki_gpu_head(s, api, c);
    spki_gpu_numbers(s);
    spki_gpu_paste(s, spki_gpu_text_engine);
    spki_gpu_names(s, api->keywords, true);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_variant_text(s, &variant[k], k, c->half, c->shadow);
    }
    spki_gpu_names(s, api->keywords, false);
    spki_gpu_say(s, "#define SPKI_DT ((spki_elem)%.17g)\n#define SPKI_DISPATCH", c->dt);
    for (uint32_t k = 0; k < variants; k++) {
        spki_gpu_say(s, " \\\n    case %u: spki_block_%u(e, run, block, SPKI_DT); break;", k, k);
    }
    spki_gpu_say(s, "\n");
    spki_gpu_paste(s, spki_gpu_text_kernels);
    if (api->together) {
        spki_gpu_paste(s, spki_gpu_text_batch);
    }
    spki_gpu_put(s, "", 1);
    return !s->text.failed && !s->lines.failed;
}

SPKI_FN void spki_gpu_source_free(spki_gpu_source *s)
{
    spki_gpu_forget(&s->text);
    spki_gpu_forget(&s->lines);
}

/* The statement that the first complaint of a compiler is about, or NULL: a line with "error" and a
   place, as ":LINE:COLUMN:" or "(LINE):". `what` gets the compiler's words. */
SPKI_FN const spki_gpu_line *spki_gpu_blamed(const spki_gpu_source *s, const char *log,
                                             const char **what, int *what_size)
{
    const spki_gpu_line *line = (const spki_gpu_line *)(const void *)s->lines.data;
    const size_t lines = s->lines.used / sizeof *line;
    for (const char *p = strstr(log, "error"); p; p = strstr(p + 1, "error")) {
        const char *start = p;
        while (start > log && start[-1] != '\n') {
            start--;
        }
        for (const char *q = start; *q && *q != '\n'; q++) {
            char *end;
            if (*q != ':' && *q != '(') {
                continue;
            }
            const unsigned long at = strtoul(q + 1, &end, 10);
            const bool place = end != q + 1 && *end == (*q == '(' ? ')' : ':');
            const char *words = place ? end + 1 + strspn(end + 1, "0123456789: ") : end;
            for (size_t k = 0; place && k < lines; k++) {
                if (line[k].line == at) {
                    *what = words;
                    *what_size = (int)strcspn(words, "\n");
                    return &line[k];
                }
            }
        }
    }
    return NULL;
}

#endif
