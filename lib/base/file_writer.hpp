// Writes a file that appears under its name complete or not at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/platform.hpp"

namespace hearth {

// Writes beside the target under a temporary name; commit() renames it over the target. Destroyed before commit, it
// leaves the target as it was and no temporary file.
class FileWriter {
  public:
    static Result<FileWriter> create(std::string_view path);
    FileWriter(FileWriter&& other) noexcept;
    FileWriter& operator=(FileWriter&&) = delete;
    ~FileWriter();
    Status write(const void* src, std::size_t n);  // a full disk is Code::io and names the target
    uint64_t n_written() const { return file_.size(); }
    Status commit();  // once, last

  private:
    FileWriter(std::string path, std::string temporary, os::File file);
    std::string path_, temporary_;  // temporary_ is empty once there is nothing to remove
    os::File file_;
};

}  // namespace hearth
