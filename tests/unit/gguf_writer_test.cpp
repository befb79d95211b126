// What is written is read back the same, whole, split, and never half.
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <vector>

#include "format/gguf_writer.hpp"
#include "gguf_bytes.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

TensorInfo tensor(const char* name, Format format, std::vector<int64_t> shape) {
    TensorInfo t;
    t.name = name;
    t.format = format;
    t.n_dim = static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), t.shape);
    return t;
}

// Bytes that depend on the tensor's name and the place, given in two pieces.
Status patterned(const TensorInfo& t, const ByteSink& out) {
    std::vector<unsigned char> bytes(t.bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7 + static_cast<unsigned char>(t.name[0]));
    HEARTH_CHECK(out(bytes.data(), bytes.size() / 2));
    return out(bytes.data() + bytes.size() / 2, bytes.size() - bytes.size() / 2);
}

GgufContent content() {
    GgufContent c;
    c.metadata["general.architecture"] = std::string("llama");
    c.metadata["yes"] = true;
    c.metadata["small"] = int64_t{7};
    c.metadata["negative"] = int64_t{-7};
    c.metadata["big"] = int64_t{1} << 40;
    c.metadata["lowest"] = INT64_MIN;
    c.metadata["half"] = 0.5;
    c.metadata["tenth"] = 0.1;
    c.metadata["ints"] = std::vector<int64_t>{1, -1, 3};
    c.metadata["bigs"] = std::vector<int64_t>{1, int64_t{1} << 40};
    c.metadata["floats"] = std::vector<double>{0.5, 0.1};
    c.metadata["none"] = std::vector<double>{};
    c.metadata["words"] = std::vector<std::string>{"a", "", "ccc"};
    c.tensors = {tensor("x", Format::F32, {3, 5}), tensor("y", Format::Q8_0, {2, 3, 64}), tensor("z", Format::F16, {7})};
    return c;
}

void check_tensors(const GgufFile& file, const GgufContent& expected) {
    REQUIRE(file.tensors().size() == expected.tensors.size());
    for (const TensorInfo& want : expected.tensors) {
        const TensorInfo* t = file.find_tensor(want.name);
        REQUIRE(t);
        CHECK(t->format == want.format);
        CHECK(t->n_dim == want.n_dim);
        CHECK(std::equal(t->shape, t->shape + 4, want.shape));
        std::string bytes(t->bytes, '\0'), pattern;
        for (int64_t row = 0; row < t->n_row(); ++row)
            REQUIRE(file.read_rows(*t, row, 1, bytes.data() + static_cast<uint64_t>(row) * t->bytes / static_cast<uint64_t>(t->n_row())));
        REQUIRE(patterned(*t, [&](const void* p, std::size_t n) {
            pattern.append(static_cast<const char*>(p), n);
            return Status();
        }));
        CHECK(bytes == pattern);
    }
}

}  // namespace

TEST_CASE("GGUF written is read back the same, at any alignment") {
    for (int64_t alignment : {0, 1, 32, 4096}) {
        GgufContent c = content();
        if (alignment) c.metadata["general.alignment"] = alignment;
        std::string bytes;
        REQUIRE(write_gguf(c, patterned, [&](const void* p, std::size_t n) {
            bytes.append(static_cast<const char*>(p), n);
            return Status();
        }));
        auto file = test::parse(bytes);
        INFO(error_record().message);
        REQUIRE(file);
        CHECK((*file)->metadata() == c.metadata);
        check_tensors(**file, c);
    }
}

TEST_CASE("GGUF that could not be read back is not written") {
    auto refused = [](auto change) {
        GgufContent c = content();
        change(c);
        return write_gguf(c, patterned, [](const void*, std::size_t) { return Status(); }).code();
    };
    CHECK(refused([](GgufContent&) {}) == Code::ok);
    CHECK(refused([](GgufContent& c) { c.metadata[""] = true; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.metadata["general.alignment"] = int64_t{3}; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[1].name = "x"; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[1].name = ""; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[1].shape[2] = 65; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[0].shape[0] = 0; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[0].shape[0] = INT64_MAX; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[0].format = Format{77}; }) == Code::invalid_argument);
    CHECK(refused([](GgufContent& c) { c.tensors[0].n_dim = 5; }) == Code::invalid_argument);
}

TEST_CASE("a GGUF file appears complete or not at all, and failing leaves the old one and no litter") {
    const std::string folder = test::temp_path("gguf_atomic");
    std::filesystem::create_directories(folder);
    const std::string path = folder + "/m\xc3\xa9.gguf";
    auto n_file = [&] { return std::distance(std::filesystem::directory_iterator(folder), {}); };
    REQUIRE(write_gguf_file(path, content(), patterned));
    CHECK(n_file() == 1);
    const auto before = test::read_bytes(path);
    const TensorData failing = [](const TensorInfo& t, const ByteSink& out) {
        return t.name == "y" ? Status(fail(Code::cancelled, "cancelled")) : patterned(t, out);
    };
    CHECK(write_gguf_file(path, content(), failing).code() == Code::cancelled);
    const TensorData short_of = [](const TensorInfo&, const ByteSink& out) { return out("1", 1); };
    CHECK(write_gguf_file(path, content(), short_of).code() == Code::internal);
    CHECK(n_file() == 1);
    CHECK(test::read_bytes(path) == before);
    auto file = GgufFile::open(path);
    REQUIRE(file);
    check_tensors(**file, content());
    CHECK(write_gguf_file(folder + "/none/m.gguf", content(), patterned).code() == Code::io);
    std::filesystem::remove_all(folder);
}

TEST_CASE("a file that may not grow is an error that names it, and leaves nothing") {
    const std::string path = test::temp_path("gguf_full.gguf");
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    auto* handler = signal(SIGXFSZ, SIG_IGN);
    rlimit small = before;
    small.rlim_cur = 100;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Code code = write_gguf_file(path, content(), patterned).code();
    const std::string message = error_record().message;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, handler);
    CHECK(code == Code::io);
    CHECK(message.find(path) != std::string::npos);
    CHECK(error_record().subcode == EFBIG);
    CHECK(!std::filesystem::exists(path));
}

TEST_CASE("a split GGUF model opens from its first part, and what is wrong with its parts is named") {
    const std::string folder = test::temp_path("gguf_split");
    std::filesystem::create_directories(folder);
    const std::string prefix = folder + "/m", first = prefix + "-00001-of-00003.gguf";
    const GgufContent all = content();
    auto write_part = [&](int i, int64_t number, int64_t n_total) {
        GgufContent c;
        if (i == 0) c.metadata = all.metadata;
        c.metadata["split.no"] = number;
        c.metadata["split.count"] = int64_t{3};
        c.metadata["split.tensors.count"] = n_total;
        c.tensors = {all.tensors[static_cast<std::size_t>(i)]};
        REQUIRE(write_gguf_file(gguf_part_path(first, i, 3), c, patterned));
    };
    for (int i = 0; i < 3; ++i) write_part(i, i, 3);
    CHECK(gguf_part_path(first, 2, 3) == prefix + "-00003-of-00003.gguf");
    CHECK(gguf_part_path("m.gguf", 1, 3).empty());
    auto message_of = [](const auto& result) { return result ? std::string() : std::string(error_record().message); };
    {
        auto file = GgufFile::open(first);
        INFO(message_of(file));
        REQUIRE(file);
        CHECK((*file)->n_part() == 3);
        CHECK(*(*file)->get_string("general.architecture") == "llama");
        check_tensors(**file, all);
    }
    CHECK(message_of(GgufFile::open(gguf_part_path(first, 1, 3))).find("open the first part") != std::string::npos);
    write_part(2, 1, 3);
    CHECK(message_of(GgufFile::open(first)).find("is part 2 of 3, where part 3 is expected") != std::string::npos);
    std::filesystem::remove(gguf_part_path(first, 2, 3));
    CHECK(message_of(GgufFile::open(first)).find("m-00003-of-00003.gguf") != std::string::npos);
    CHECK(GgufFile::open(first).code() == Code::not_found);
    write_part(2, 2, 3);
    write_part(0, 0, 4);
    CHECK(message_of(GgufFile::open(first)).find("hold 3 tensors, but 4") != std::string::npos);
    std::filesystem::copy_file(first, folder + "/renamed.gguf");
    CHECK(message_of(GgufFile::open(folder + "/renamed.gguf")).find("3 parts") != std::string::npos);
    std::filesystem::remove_all(folder);
}
