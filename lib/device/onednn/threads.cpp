// Looks up the OpenMP runtime that this process has loaded with oneDNN, so that none is chosen when the plugin is built.
#include "device/onednn/threads.hpp"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl_config.h>

namespace hearth::onednn {

OpenMp find_open_mp() {
    OpenMp omp;
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    omp.max_threads = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    omp.set_threads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (!omp.max_threads) omp.set_threads = nullptr;
#endif
    return omp;
}

}  // namespace hearth::onednn
