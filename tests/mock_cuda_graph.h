/* ---- >>mock-cuda-graph: what the driver of mock_cuda.h does with graphs ----
   A stream that is captured runs nothing: its launches become nodes, with copies of their
   parameters as they are then. Until the capture ends, every other call of the thread fails, and is
   a misuse, which is stricter than a driver; a launch that fails spoils the capture. A graph that
   is launched runs its nodes with those copies; their functions have to be loaded still, and the
   memory that they were given has to be there still. Included by mock_cuda.h. */
#ifndef SPIKELIB_TESTS_MOCK_CUDA_GRAPH_H
#define SPIKELIB_TESTS_MOCK_CUDA_GRAPH_H

enum { MOCK_NODE_PARAMS = 40 };

typedef struct mock_node {
    const mock_object *function;
    long function_born;
    uint32_t groups, items;
    unsigned params;
    uint64_t param[MOCK_NODE_PARAMS];
    const mock_object *block[MOCK_NODE_PARAMS]; /* that a parameter points into, or NULL */
    long block_born[MOCK_NODE_PARAMS];
} mock_node;

/* In mock_object.data of graphs and of what is made of them: mock_object.size nodes. */
static const mock_object *mock_block_at(uint64_t at)
{
    for (int k = 0; k < MOCK_OBJECTS; k++) {
        const mock_object *o = &mock.object[k];
        const uint64_t begin = (uint64_t)(uintptr_t)o->data;
        if (o->kind == MOCK_MEMORY && at >= begin && at - begin < o->size) {
            return o;
        }
    }
    return NULL;
}

/* Bytes of parameter k of a function that can run; of one that cannot nobody knows them. */
static unsigned mock_param_bytes(const mock_object *function, unsigned k)
{
    unsigned (*bytes)(const void *, unsigned) = mock_bytes_code;
    if (!function->entry) {
        return 0;
    }
    if (function->owner) {
        void *symbol = dlsym(function->owner->library, "mock_param_size");
        memcpy(&bytes, &symbol, sizeof bytes);
    }
    return bytes(function->entry, k);
}

/* What a call returns that may be the one to fail. */
static int mock_named(const char *name)
{
    const int code = mock_call();
    if (!code && mock.fail_name && strcmp(name, mock.fail_name) == 0) {
        mock.fail_name = NULL;
        return mock.fail_code;
    }
    return code;
}

/* A launch into a stream that is captured. */
static int mock_add_node(spki_cuda_handle f, uint32_t groups, uint32_t items, mock_object *stream,
                         void **param)
{
    const mock_object *function = mock_at(f, MOCK_FUNCTION);
    mock_object *graph = stream->owner;
    mock.in_capture = 1;
    const int code = mock_named(function->name);
    mock.in_capture = 0;
    if (function->device != stream->device || groups == 0 || items == 0 || items > 1024) {
        mock_misused("a launch");
    }
    if (code || !graph) {
        stream->owner = NULL;
        if (graph) {
            (void)mock_release(graph);
        }
        return code ? code : 901;
    }
    mock_node *node = (mock_node *)calloc(graph->size + 1, sizeof *node);
    if (graph->size) {
        memcpy(node, graph->data, graph->size * sizeof *node);
    }
    free(graph->data);
    graph->data = (char *)node;
    node += graph->size++;
    node->function = function;
    node->function_born = function->born;
    node->groups = groups;
    node->items = items;
    for (unsigned k = 0, n; k < MOCK_NODE_PARAMS && (n = mock_param_bytes(function, k)); k++) {
        memcpy(&node->param[node->params], param[k], n);
        node->block[node->params] = n == 8 ? mock_block_at(node->param[k]) : NULL;
        node->block_born[node->params] = node->block[k] ? node->block[k]->born : 0;
        node->params++;
    }
    return 0;
}

static int mock_cuStreamBeginCapture_v2(spki_cuda_handle s, int mode)
{
    mock_object *stream = mock_stream(s);
    const int code = mock_named("cuStreamBeginCapture");
    if (mode != SPKI_CUDA_OF_THREAD) {
        mock_misused("a capture that other threads would notice");
    }
    if (!code) {
        stream->owner = mock_new(MOCK_GRAPH, 0);
        stream->owner->device = stream->device;
        mock.captured = stream;
    }
    return code;
}

static int mock_cuStreamEndCapture(spki_cuda_handle s, spki_cuda_handle *out)
{
    mock_object *stream = mock_stream(s), *graph = stream->owner;
    *out = NULL;
    if (mock.captured != stream) {
        mock_misused("the end of no capture");
        return 401;
    }
    mock.captured = NULL;
    stream->owner = NULL;
    const int code = mock_named("cuStreamEndCapture");
    if (!graph) {
        return code ? code : 901;
    }
    if (code) {
        (void)mock_release(graph);
        return code;
    }
    *out = (spki_cuda_handle)(void *)graph;
    return 0;
}

static int mock_cuGraphInstantiateWithFlags(spki_cuda_handle *out, spki_cuda_handle g,
                                            unsigned long long flags)
{
    const mock_object *graph = mock_at(g, MOCK_GRAPH);
    const size_t size = graph->size;
    if (flags || !size) {
        mock_misused("a graph of nothing, or a flag");
    }
    int code = mock_named("cuGraphInstantiate");
    code = code ? code : mock_make(MOCK_EXEC, size, out);
    if (!code) {
        mock_object *made = (mock_object *)(void *)*out;
        made->data = (char *)malloc(size * sizeof(mock_node));
        memcpy(made->data, graph->data, size * sizeof(mock_node));
        mock.graphs++;
    }
    return code;
}

static int mock_cuGraphDestroy(spki_cuda_handle g)
{
    return mock_release(mock_at(g, MOCK_GRAPH));
}

static int mock_cuGraphExecDestroy(spki_cuda_handle e)
{
    (void)mock_device();
    return mock_release(mock_at(e, MOCK_EXEC));
}

static int mock_cuGraphLaunch(spki_cuda_handle e, spki_cuda_handle s)
{
    const mock_object *exec = mock_at(e, MOCK_EXEC);
    const mock_object *stream = mock_stream(s);
    const int code = mock_named("cuGraphLaunch");
    if (exec->device != stream->device || stream == mock.captured) {
        mock_misused("a graph's launch");
    }
    mock.replays += !code;
    for (size_t k = 0; k < exec->size && !code; k++) {
        mock_node *node = (mock_node *)(void *)exec->data + k;
        void *param[MOCK_NODE_PARAMS];
        if (!node->function->alive || node->function->born != node->function_born) {
            mock_misused("a graph whose kernels are gone");
            return 400;
        }
        for (unsigned p = 0; p < node->params; p++) {
            param[p] = &node->param[p];
            if (node->block[p] && node->block[p]->born != node->block_born[p]) {
                mock_misused("a graph whose memory is gone");
                return 400;
            }
        }
        mock_launch_node(node->function, node->groups, node->items, s, param, 0);
    }
    return code;
}

#endif
