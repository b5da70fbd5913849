#define SPIKELIB_IMPLEMENTATION
#include "spikelib.h"
