/* ---- >>cuda-text: writes the kernels' text that CUDA gets, and compiles it with NVRTC ----
   cuda_text DIR writes DIR/NAME.cu for each way in which a program may differ, the first with all
   models in it, the others with a third of them, and prints the names. cuda_text --ptx IN.cu
   OUT.ptx compiles as the library does. */
#define SPIKELIB_CUDA_NVRTC
#define SPIKELIB_IMPLEMENTATION
#include "../spikelib.h"
#include "../spikelib_cuda.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every built-in model, or every third from `first` on; its parameters are now each neuron's own,
   now the same for all. */
static uint32_t variants(spki_gpu_variant *out, uint32_t first, uint32_t step)
{
    uint32_t n = 0;
    for (uint32_t id = first; id < SPK_MODEL_COUNT; id += step) {
        memset(&out[n], 0, sizeof out[n]);
        out[n].model = spk_model_builtin((spk_model_id)id);
        memset(out[n++].varied, 0x55 << (id & 1), sizeof out[0].varied);
    }
    return n;
}

static int write_text(const char *dir, const char *name, const spki_gpu_source *s)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/%s.cu", dir, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(s->text.data, file) < 0 || fclose(file) != 0) {
        fprintf(stderr, "%s cannot be written\n", path);
        return 0;
    }
    printf("%s\n", name);
    return 1;
}

static int write_all(const char *dir)
{
    static spki_gpu_variant variant[SPK_MODEL_COUNT];
    static const struct {
        const char *name;
        bool is_double, half, wide, wide_weights, byte_weights;
    } way[] = {{"float", false, false, false, false, false},
               {"float-32-bit-weights", false, false, true, true, false},
               {"double-many-synapses", true, false, true, false, false},
               {"half-and-shadow-8-bit-weights", false, true, false, false, true}};
    spki_mem mem;
    spki_mem_init(&mem, NULL, 0);
    const size_t ways = sizeof way / sizeof way[0];
    for (size_t k = 0; k < ways + 3; k++) {
        const bool test = k >= ways, rows = k == ways + 2;
        spki_gpu_choice c;
        spki_gpu_source s;
        memset(&c, 0, sizeof c);
        memset(&s, 0, sizeof s);
        s.text.mem = s.lines.mem = &mem;
        c.lanes = 1;
        c.dt = 0.1;
        c.is_double = test ? k % 2 : way[k].is_double;
        c.half = c.shadow = !test && way[k].half;
        c.wide = !test && way[k].wide;
        c.wide_weights = !test && way[k].wide_weights;
        c.byte_weights = !test && way[k].byte_weights;
        const uint32_t n = variants(variant, k ? (uint32_t)(k - 1) % 3 : 0, k ? 3 : 1);
        bool made = true;
        if (rows) {
            spki_gpu_rows_text(&s, &spki_cuda_api);
        } else if (test) {
            spki_gpu_head(&s, &spki_cuda_api, &c);
            spki_gpu_define(&s, "SELFTESTS", SPKI_GPU_SELFTESTS);
            spki_gpu_paste(&s, spki_gpu_text_selftest);
            spki_gpu_put(&s, "", 1);
        } else {
            made = spki_gpu_program_text(&s, &spki_cuda_api, &c, variant, n);
        }
        made = made && write_text(dir,
                                  !test         ? way[k].name
                                  : rows        ? "rows"
                                  : c.is_double ? "selftest-double"
                                                : "selftest-float", &s);
        spki_gpu_source_free(&s);
        if (!made) {
            return 1;
        }
    }
    return 0;
}

/* As spki_cuda_translate, with PTX asked for. */
static int translate(const char *in, const char *out)
{
    static const char *const option[] = {"--gpu-architecture=compute_80", "--fmad=false",
                                         "--ftz=false", "--prec-div=true", "--prec-sqrt=true",
                                         "--std=c++11", "-default-device"};
    spk_cuda_desc desc;
    spki_cuda_calls cu;
    spki_cuda_handle made = NULL;
    static char text[1 << 20], log[1 << 16];
    size_t size = 0;
    memset(&desc, 0, sizeof desc);
    memset(&cu, 0, sizeof cu);
    if (!spki_cuda_load_nvrtc(&desc, &cu)) {
        fprintf(stderr, "no NVRTC\n");
        return 1;
    }
    FILE *file = fopen(in, "r");
    size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (!size || fclose(file) != 0) {
        fprintf(stderr, "%s cannot be read\n", in);
        return 1;
    }
    int code = cu.nvrtcCreateProgram(&made, text, in, 0, NULL, NULL);
    if (!code) {
        code = cu.nvrtcCompileProgram(made, (int)(sizeof option / sizeof option[0]), option);
        if (cu.nvrtcGetProgramLogSize(made, &size) == 0 && size < sizeof log) {
            (void)cu.nvrtcGetProgramLog(made, log);
        }
    }
    char *ptx = NULL;
    if (!code && cu.nvrtcGetPTXSize(made, &size) == 0 && (ptx = (char *)malloc(size)) != NULL) {
        code = cu.nvrtcGetPTX(made, ptx);
        file = fopen(out, "w");
        if (!file || fputs(ptx, file) < 0 || fclose(file) != 0) {
            code = 1;
        }
    }
    if (code || strlen(log) > 1) { /* a warning is an error too */
        fprintf(stderr, "NVRTC: %s\n%s", cu.nvrtcGetErrorString(code), log);
        code = code ? code : 1;
    }
    free(ptx);
    (void)cu.nvrtcDestroyProgram(&made);
    return code != 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--ptx") == 0) {
        return translate(argv[2], argv[3]);
    }
    if (argc != 2) {
        fprintf(stderr, "cuda_text DIR, or cuda_text --ptx IN.cu OUT.ptx\n");
        return 2;
    }
    return write_all(argv[1]);
}
