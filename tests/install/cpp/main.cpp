// A C++ host of an installed libhearth.
#include <hearth/hearth.h>
#if __has_include(<hearth/hearth.hpp>)
#include <hearth/hearth.hpp>
#endif

#include <cstdio>

int main() {
    hearth_runtime* runtime = nullptr;
    const hearth_status status = hearth_runtime_create(nullptr, &runtime);
    std::printf("hearth from C++: runtime_create says %s\n", hearth_status_name(status));
    return status != HEARTH_OK || hearth_runtime_release(runtime) != HEARTH_OK;
}
