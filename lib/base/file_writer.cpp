// FileWriter: a temporary file beside the target, renamed over it at the end.
#include "base/file_writer.hpp"

#include <utility>

namespace hearth {

FileWriter::FileWriter(std::string path, std::string temporary, os::File file)
    : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::move(other.temporary_)), file_(std::move(other.file_)) {
    other.temporary_.clear();
}

FileWriter::~FileWriter() {
    if (temporary_.empty()) return;
    file_ = os::File();  // closed first: Windows removes no open file
    os::remove_file(temporary_);
}

Result<FileWriter> FileWriter::create(std::string_view path) {
    if (path.empty() || path.find('\0') != std::string_view::npos)
        return fail(Code::invalid_argument, "the path to write is empty or contains a NUL byte");
    constexpr int kMaxTry = 100;  // leftovers of a crashed process with our id
    for (int i = 0;; ++i) {
        std::string temporary = format_text("{}.{}-{}.tmp", path, os::process_id(), i);
        if (i < kMaxTry && os::file_exists(temporary)) continue;
        HEARTH_TRY(os::File file, os::File::create(temporary));
        return FileWriter(std::string(path), std::move(temporary), std::move(file));
    }
}

Status FileWriter::write(const void* src, std::size_t n) { return file_.write(src, n, path_); }

Status FileWriter::commit() {
    HEARTH_CHECK(file_.sync(path_));
    file_ = os::File();
    HEARTH_CHECK(os::rename_over(temporary_, path_));
    temporary_.clear();
    return {};
}

}  // namespace hearth
