// Real GGUF files parse, and their tensors can be read.
#include <filesystem>
#include <vector>

#include "format/gguf.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

std::vector<std::string> fixture_models() {
    std::vector<std::string> paths;
    for (const char* folder : {"arch", "model", "vocab"}) {
        const std::string path = test::fixture(folder);
        if (path.empty()) continue;
        for (const auto& entry : std::filesystem::directory_iterator(path))
            if (entry.path().extension() == ".gguf") paths.push_back(entry.path().string());
    }
    return paths;
}

}  // namespace

TEST_CASE("every fixture model parses, read or mapped, and both give the same bytes") {
    const std::vector<std::string> paths = fixture_models();
    if (paths.empty()) return test::skip("fixture models: the shared fixtures are absent");
    for (const std::string& path : paths) {
        INFO(path);
        auto file = GgufFile::open(path);
        INFO(error_record().message);
        REQUIRE(file);
        auto mapped = GgufFile::open(path, FileMode::mmap);
        REQUIRE(mapped);
        CHECK((*file)->get_string("general.architecture"));
        REQUIRE((*file)->tensors().size() == (*mapped)->tensors().size());
        for (std::size_t i = 0; i < (*file)->tensors().size(); ++i) {
            const TensorInfo& tensor = (*file)->tensors()[i];
            std::vector<std::byte> bytes(tensor.bytes);
            REQUIRE((*file)->read_rows(tensor, 0, tensor.n_row(), bytes.data()));
            CHECK((*file)->data(tensor) == nullptr);
            const std::byte* same = (*mapped)->data((*mapped)->tensors()[i]);
            REQUIRE(std::equal(bytes.begin(), bytes.end(), same));
        }
    }
}
