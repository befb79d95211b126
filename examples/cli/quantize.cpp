// hearth quantize: a copy of a model with its matrices in another type.
#include "common.hpp"
#include "terminal.hpp"

namespace cli {

int quantize(const QuantizeOptions& o) {
    ModelFlags flags;
    flags.n_threads = o.n_threads;
    CLI_TRY(const auto runtime, make_runtime(flags));
    ProgressBar bar("quantizing");
    CLI_CHECK(hearth::quantize(runtime, o.in_path, o.out_path, o.type, [&bar](uint64_t done, uint64_t total) {
        bar.show(done, total);
        return true;
    }));
    return kOk;
}

}  // namespace cli
