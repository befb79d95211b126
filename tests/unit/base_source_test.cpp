// Sources give the bytes asked for or a sentence; they never read past their end.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/file_writer.hpp"
#include "base/source.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

const std::string kText = "0123456789abcdef";

int32_t read_text(void* user, uint64_t offset, void* dst, std::size_t n) {
    if (user) return *static_cast<int32_t*>(user);
    std::memcpy(dst, kText.data() + offset, n);
    return 0;
}

struct TempFile {
    std::string path = test::temp_path("source \xc3\xa9\xe6\x96\x87.bin");  // a path that is not ASCII
    TempFile() { test::write_bytes(path, kText.data(), kText.size()); }
    ~TempFile() { std::filesystem::remove(path); }
};

std::unique_ptr<Source> take(Result<std::unique_ptr<Source>> source) {
    REQUIRE(source);
    return *std::move(source);
}

}  // namespace

TEST_CASE("every kind of source reads any range inside it and refuses any other, naming itself") {
    TempFile file;
    ReadCallbacks callbacks;
    callbacks.size = kText.size();
    callbacks.read = read_text;
    std::vector<std::unique_ptr<Source>> sources;
    sources.push_back(take(open_file(file.path)));
    sources.push_back(take(open_file(file.path, FileMode::mmap)));
    sources.push_back(take(memory_source(kText.data(), kText.size(), "block")));
    sources.push_back(take(callback_source(callbacks)));
    for (const auto& source : sources) {
        INFO(source->name());
        CHECK(source->size() == kText.size());
        for (std::size_t begin = 0; begin <= kText.size(); ++begin) {
            for (std::size_t n = 0; n <= kText.size() - begin; ++n) {
                std::string got(n, '?');
                REQUIRE(source->read_at(begin, got.data(), n));
                CHECK(got == kText.substr(begin, n));
            }
        }
        char byte;
        const std::pair<uint64_t, std::size_t> outside[] = {{16, 1},         {17, 0},       {0, 17},
                                                            {UINT64_MAX, 1}, {1, SIZE_MAX}, {UINT64_MAX, SIZE_MAX}};
        for (const auto& [offset, n] : outside) {
            CHECK(source->read_at(offset, &byte, n).code() == Code::bad_file);
            CHECK(std::string_view(error_record().message).find(source->name()) == 0);
        }
        if (source->data()) CHECK(std::memcmp(source->data(), kText.data(), kText.size()) == 0);
    }
    CHECK(sources[0]->data() == nullptr);
    CHECK(sources[1]->data() != nullptr);
    CHECK(sources[2]->data() != nullptr);
}

TEST_CASE("files that cannot be read are errors that name them") {
    CHECK(open_file("/nonexistent/x.gguf").code() == Code::not_found);
    CHECK(std::string_view(error_record().message).find("/nonexistent/x.gguf") == 0);
    CHECK(error_record().subcode == ENOENT);
    CHECK(open_file("/").code() == Code::io);
    CHECK(open_file("").code() == Code::not_found);
    CHECK(open_file(std::string_view("a\0b", 3)).code() == Code::invalid_argument);
    const std::string fifo = test::temp_path("fifo");
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(open_file(fifo).code() == Code::io);  // and does not wait for a writer
    std::filesystem::remove(fifo);
    CHECK(memory_source(nullptr, 5).code() == Code::invalid_argument);
    CHECK(callback_source({}).code() == Code::invalid_argument);
}

TEST_CASE("an empty file is a source of no bytes in both modes") {
    const std::string path = test::temp_path("empty");
    test::write_bytes(path, "", 0);
    for (FileMode mode : {FileMode::pread, FileMode::mmap}) {
        const auto source = take(open_file(path, mode));
        CHECK(source->size() == 0);
        CHECK(source->read_at(0, nullptr, 0));
    }
    std::filesystem::remove(path);
}

TEST_CASE("a file truncated while it is open is a bad file, not a crash") {
    TempFile file;
    const auto source = take(open_file(file.path));
    REQUIRE(truncate(file.path.c_str(), 4) == 0);
    char got[16];
    CHECK(source->read_at(0, got, 4));
    CHECK(source->read_at(0, got, 16).code() == Code::bad_file);
    CHECK(std::string_view(error_record().message).find("truncated") != std::string_view::npos);
}

TEST_CASE("a failing read callback becomes an error with its number") {
    int32_t error = 42;
    ReadCallbacks callbacks{&error, 16, read_text};
    const auto source = take(callback_source(callbacks));
    char byte;
    CHECK(source->read_at(0, &byte, 1).code() == Code::io);
    CHECK(error_record().subcode == 42);
}

TEST_CASE("several threads read one file source at once") {
    TempFile file;
    const auto source = take(open_file(file.path));
    std::atomic<int> n_wrong{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 500; ++i) {
                char byte = 0;
                if (!source->read_at(t, &byte, 1) || byte != kText[t]) ++n_wrong;
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(n_wrong == 0);
}

TEST_CASE("a file writer replaces its target on commit only") {
    TempFile file;
    {
        auto writer = FileWriter::create(file.path);
        REQUIRE(writer);
        REQUIRE(writer->write("new", 3));
        CHECK(writer->n_written() == 3);
        CHECK(test::read_bytes(file.path).size() == kText.size());
    }
    CHECK(test::read_bytes(file.path).size() == kText.size());
    auto writer = FileWriter::create(file.path);
    REQUIRE(writer);
    REQUIRE(writer->write("new", 3));
    REQUIRE(writer->commit());
    CHECK(test::read_bytes(file.path) == std::vector<std::uint8_t>{'n', 'e', 'w'});
    CHECK(FileWriter::create("").code() == Code::invalid_argument);
}
