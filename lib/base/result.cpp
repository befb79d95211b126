// The thread's error record behind Result<T>.
#include "base/result.hpp"

#include <algorithm>

namespace hearth {

ErrorRecord& error_record() noexcept {
    thread_local ErrorRecord record;
    return record;
}

void begin_error(Code code) noexcept {
    ErrorRecord& record = error_record();
    record.code = code;
    record.subcode = 0;
    record.device = -1;
    record.bytes_wanted = record.bytes_free = 0;
    record.line = record.column = 0;
    record.message[0] = 0;
    record.device_spec[0] = 0;
}

void end_error(std::size_t n_written) noexcept { error_record().message[n_written] = 0; }

void name_device(std::string_view spec, int32_t index) noexcept {
    ErrorRecord& record = error_record();
    const std::size_t n = std::min(spec.size(), sizeof record.device_spec - 1);
    std::copy_n(spec.data(), n, record.device_spec);
    record.device_spec[n] = 0;
    record.device = index;
}

Failure fail_oom(Code code, const char* what, uint64_t bytes_wanted, uint64_t bytes_free) {
    // The system may refuse what seems to be free.
    const bool too_much = bytes_free != 0 && bytes_free < bytes_wanted;
    Failure failure = too_much       ? fail(code, "{}: {} bytes are needed but {} are free", what, bytes_wanted, bytes_free)
                      : bytes_wanted ? fail(code, "{}: out of memory while reserving {} bytes", what, bytes_wanted)
                                     : fail(code, "{}: out of memory", what);
    ErrorRecord& record = error_record();
    record.bytes_wanted = bytes_wanted;
    record.bytes_free = bytes_free;
    return failure;
}

}  // namespace hearth
