/* ---- >>models-table: the built-in models by id ---- */
#ifndef SPIKELIB_MODELS_TABLE_H
#define SPIKELIB_MODELS_TABLE_H

#include "adex.h"
#include "hh.h"
#include "izhikevich.h"
#include "lif_adapt.h"
#include "lif_alpha.h"
#include "lif_cond.h"
#include "lif_delta.h"
#include "lif_exp.h"
#include "lif_exp2.h"
#include "parrot.h"
#include "poisson.h"
#include "spike_list.h"

#include <stdio.h>

SPIKELIB_API spk_model spk_model_builtin(spk_model_id id)
{
    static const struct spk_model_def *const table[] = {
#define SPKI_MODEL_ENTRY(upper, lower) &spki_def_##lower,
        SPIKELIB_MODEL_LIST(SPKI_MODEL_ENTRY)
#undef SPKI_MODEL_ENTRY
    };
    return (int)id >= 0 && id < SPK_MODEL_COUNT ? table[id] : NULL;
}

SPIKELIB_API const char *spk_model_name(spk_model model)
{
    return model ? model->name : "";
}

typedef struct spki_text {
    char *buffer;
    size_t size, length;
} spki_text;

/* Appends, never past the buffer; `length` is what it would have been. */
__attribute__((unused)) static void spki_text_add(spki_text *text, const char *piece)
{
    const size_t n = strlen(piece);
    for (size_t k = 0; k < n; k++) {
        if (text->length + k + 1 < text->size) {
            text->buffer[text->length + k] = piece[k];
            text->buffer[text->length + k + 1] = 0;
        }
    }
    text->length += n;
}

SPIKELIB_API size_t spk_model_describe(spk_model model, char *buffer, size_t size)
{
    spki_text text = {buffer, buffer ? size : 0, 0};
    char line[160];
    if (size && buffer) {
        buffer[0] = 0;
    }
    if (!model) {
        return 0;
    }
    spki_text_add(&text, model->name);
    spki_text_add(&text, "\nparameters\n");
    for (uint32_t k = 0; k < model->param_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10g %s\n", model->param[k].name,
                 model->param[k].value, model->param[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "states\n");
    for (uint32_t k = 0; k < model->state_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10s %s\n", model->state[k].name, "",
                 model->state[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "inputs\n");
    for (uint32_t k = 0; k < model->input_count; k++) {
        snprintf(line, sizeof line, "  %-12s %10s %s\n", model->input[k].name, "",
                 model->input[k].unit);
        spki_text_add(&text, line);
    }
    spki_text_add(&text, "derived\n");
    spki_text_add(&text, model->derived_text);
    spki_text_add(&text, "each step\n");
    spki_text_add(&text, model->text);
    spki_text_add(&text, "\n");
    return text.length;
}

#endif
