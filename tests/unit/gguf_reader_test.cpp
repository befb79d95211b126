// The GGUF reader's promises on hand-made files: values arrive, hostile numbers are refused with a sentence.
#include <cstring>
#include <vector>

#include "gguf_bytes.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;
using test::GgufBytes;
using test::parse;

namespace {

// Two tensors and every kind of value, ending exactly where the last tensor does.
std::string small_file(uint32_t version = 3) {
    GgufBytes b;
    b.head(2, 15, version);
    b.key("u8", GgufType::u8).put(uint8_t{200}).key("i8", GgufType::i8).put(int8_t{-100});
    b.key("u16", GgufType::u16).put(uint16_t{60000}).key("i16", GgufType::i16).put(int16_t{-30000});
    b.key("u32", GgufType::u32).put(uint32_t{4000000000u}).key("i32", GgufType::i32).put(int32_t{-2000000000});
    b.key("u64", GgufType::u64).put(uint64_t{1} << 62).key("i64", GgufType::i64).put(-(int64_t{1} << 62));
    b.key("f32", GgufType::f32).put(0.5f).key("f64", GgufType::f64).put(0.1);
    b.key("yes", GgufType::boolean).put(uint8_t{1}).key("word", GgufType::string).text("h\xc3\xa9");
    b.array("ints", GgufType::i16, 3).put(int16_t{1}).put(int16_t{-2}).put(int16_t{3});
    b.array("words", GgufType::string, 2).text("").text("two");
    b.array("floats", GgufType::f32, 1).put(2.0f);
    b.tensor("a", 0, 8, 0).tensor("b", 8, 64, 32);
    return b.data(32 + 68).out;
}

void check_refused(const std::string& bytes, Code code, std::string_view part_of_sentence) {
    auto file = parse(bytes);
    REQUIRE(!file);
    INFO(error_record().message);
    CHECK(file.code() == code);
    CHECK(std::string_view(error_record().message).find(part_of_sentence) != std::string_view::npos);
}

}  // namespace

TEST_CASE("GGUF metadata of every type arrives with its value, in versions 2 and 3") {
    for (uint32_t version : {2u, 3u}) {
        const std::string bytes = small_file(version);
        auto file = parse(bytes);
        INFO(error_record().message);
        REQUIRE(file);
        const GgufFile& f = **file;
        CHECK(f.version() == static_cast<int>(version));
        CHECK(*f.get_int("u8") == 200);
        CHECK(*f.get_int("i8") == -100);
        CHECK(*f.get_int("u16") == 60000);
        CHECK(*f.get_int("i16") == -30000);
        CHECK(*f.get_int("u32") == 4000000000);
        CHECK(*f.get_int("i32") == -2000000000);
        CHECK(*f.get_int("u64") == int64_t{1} << 62);
        CHECK(*f.get_int("i64") == -(int64_t{1} << 62));
        CHECK(*f.get_float("f32") == 0.5);
        CHECK(*f.get_float("f64") == 0.1);
        CHECK(*f.get_bool("yes"));
        CHECK(*f.get_string("word") == "h\xc3\xa9");
        CHECK(std::get<std::vector<int64_t>>(*f.find("ints")) == std::vector<int64_t>{1, -2, 3});
        CHECK(std::get<std::vector<std::string>>(*f.find("words")) == std::vector<std::string>{"", "two"});
        CHECK(*f.get_ints("ints", 3) == std::vector<int64_t>{1, -2, 3});
        CHECK(*f.get_ints("u8", 2) == std::vector<int64_t>{200, 200});
        CHECK(f.find("absent") == nullptr);
    }
}

TEST_CASE("GGUF getters refuse a missing key, a wrong type and a wrong length, naming the key") {
    const std::string bytes = small_file();
    auto file = parse(bytes);
    REQUIRE(file);
    const GgufFile& f = **file;
    CHECK(!f.get_int("absent"));
    CHECK(std::string_view(error_record().message).find("absent") != std::string_view::npos);
    CHECK(*f.get_int("absent", 7) == 7);
    CHECK(!f.get_int("word", 7));
    CHECK(!f.get_string("u8"));
    CHECK(!f.get_ints("ints", 4));
}

TEST_CASE("GGUF tensors are found by name, sized, and read by rows") {
    const std::string bytes = small_file();
    auto file = parse(bytes);
    REQUIRE(file);
    const TensorInfo* b = (*file)->find_tensor("b");
    REQUIRE(b);
    CHECK(b->format == Format::Q8_0);
    CHECK(b->bytes == 68);
    CHECK(b->row_width() == 64);
    CHECK(b->n_row() == 1);
    CHECK((*file)->find_tensor("c") == nullptr);
    std::vector<std::byte> out(68);
    REQUIRE((*file)->read_rows(*b, 0, 1, out.data()));
    CHECK(std::memcmp(out.data(), bytes.data() + bytes.size() - 68, 68) == 0);
    CHECK(std::memcmp((*file)->data(*b), bytes.data() + bytes.size() - 68, 68) == 0);
    CHECK(!(*file)->read_rows(*b, 0, 2, out.data()));
    CHECK(!(*file)->read_rows(*b, -1, 1, out.data()));
    CHECK(!(*file)->read_rows(*b, INT64_MAX, INT64_MAX, out.data()));
}

TEST_CASE("a GGUF file cut anywhere is refused as a bad file") {
    const std::string bytes = small_file();
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        auto file = parse(std::string(bytes, 0, n));  // a block of exactly n bytes, so that ASan sees one more
        REQUIRE(!file);
        CHECK(file.code() == Code::bad_file);
        CHECK(error_record().message[0] != 0);
    }
}

TEST_CASE("a GGUF file with any one byte changed gives an error or tensors that can all be read") {
    const std::string bytes = small_file();
    const std::size_t n_header = bytes.size() - 100;
    std::size_t n_valid = 0;
    for (std::size_t i = 0; i < n_header; ++i) {
        for (int value : {0, 1, 2, 3, 7, 0x10, 0x7f, 0x80, 0xfe, 0xff}) {
            std::string changed = bytes;
            changed[i] = static_cast<char>(value);
            auto file = parse(changed);
            if (!file) {
                CHECK(file.code() != Code::internal);
                continue;
            }
            ++n_valid;
            for (const TensorInfo& tensor : (*file)->tensors()) {
                std::vector<std::byte> out(tensor.bytes);
                REQUIRE((*file)->read_rows(tensor, 0, tensor.n_row(), out.data()));
            }
        }
    }
    CHECK(n_valid > 0);
    CHECK(n_valid < n_header * 10);
}

TEST_CASE("GGUF counts and lengths beyond the file are refused before anything of that size is allocated") {
    const uint64_t huge = UINT64_MAX, large = uint64_t{1} << 40;
    for (uint64_t n : {huge, large, uint64_t{1} << 63}) {
        check_refused(GgufBytes{}.head(n, 0).out, Code::bad_file, "tensors");
        check_refused(GgufBytes{}.head(0, n).out, Code::bad_file, "keys");
        check_refused(GgufBytes{}.head(0, 1).put(n).data(64).out, Code::bad_file, "a string at");
        check_refused(GgufBytes{}.head(0, 1).key("k", GgufType::string).put(n).data(64).out, Code::bad_file, "a string at");
        for (GgufType type : {GgufType::u8, GgufType::f64, GgufType::boolean, GgufType::string})
            check_refused(GgufBytes{}.head(0, 1).array("k", type, n).data(64).out, Code::bad_file, "array entries");
        check_refused(GgufBytes{}.head(1, 0).tensor("t", 0, n, 0).data(64).out, Code::bad_file, "t");
        check_refused(GgufBytes{}.head(1, 0).tensor("t", 0, 8, n & ~uint64_t{31}).data(64).out, Code::bad_file, "tensor t");
    }
    GgufBytes wrapping;  // 2^32 * 2^32 elements: the product is 0 in 64 bits
    wrapping.head(1, 0).text("t").put(uint32_t{2}).put(uint64_t{1} << 32).put(uint64_t{1} << 32).put(0).put(uint64_t{0});
    check_refused(wrapping.data(64).out, Code::bad_file, "absurd size");
}

TEST_CASE("GGUF files that are not well formed are refused with the reason") {
    check_refused("", Code::bad_file, "not a GGUF file");
    check_refused("GGU", Code::bad_file, "not a GGUF file");
    check_refused("GGML----------------", Code::bad_file, "not a GGUF file");
    check_refused(GgufBytes{}.head(0, 0, 1).out, Code::bad_file, "version 1");
    check_refused(GgufBytes{}.head(0, 0, 4).out, Code::bad_file, "version 4");
    check_refused(GgufBytes{}.head(0, 0, 0x03000000).out, Code::bad_file, "big-endian");
    const auto u8 = GgufType::u8;
    check_refused(GgufBytes{}.head(0, 2).key("k", u8).put('1').key("k", u8).put('1').data(9).out, Code::bad_file, "occurs twice");
    check_refused(GgufBytes{}.head(0, 1).key("", u8).put('1').data(9).out, Code::bad_file, "name of 0 bytes");
    check_refused(GgufBytes{}.head(0, 1).key("k", GgufType{13}).put('1').data(9).out, Code::bad_file, "unknown value type 13");
    check_refused(GgufBytes{}.head(0, 1).array("k", GgufType::array, 1).data(64).out, Code::bad_file, "array of arrays");
    check_refused(GgufBytes{}.head(0, 1).key("k", GgufType::boolean).put('\2').data(9).out, Code::bad_file, "boolean");
    check_refused(GgufBytes{}.head(0, 1).key("k", GgufType::u64).put(UINT64_MAX).data(9).out, Code::bad_file, "largest integer");
    for (uint32_t alignment : {0u, 3u, 48u, 0x80000000u})
        check_refused(GgufBytes{}.head(0, 1).key("general.alignment", GgufType::u32).put(alignment).data(32).out,
                      Code::bad_file, "general.alignment");
    check_refused(GgufBytes{}.head(0, 1).key("general.alignment", GgufType::f32).put(32.0f).data(32).out, Code::bad_file,
                  "general.alignment");
}

TEST_CASE("GGUF tensors that cannot be are refused by name") {
    auto one = [](int32_t type, uint64_t n, uint64_t offset) {
        return GgufBytes{}.head(1, 0).tensor("blk.0.w", type, n, offset).data(256).out;
    };
    CHECK(parse(one(0, 64, 0)));
    check_refused(one(0, 0, 0), Code::bad_file, "blk.0.w");
    check_refused(one(0, 65, 0), Code::bad_file, "file ends at");
    check_refused(one(0, 32, 16), Code::bad_file, "alignment 32");
    check_refused(one(8, 33, 0), Code::bad_file, "multiple of the 32 of Q8_0");
    check_refused(one(4, 32, 0), Code::unsupported_type, "Q4_2");
    check_refused(one(31, 32, 0), Code::unsupported_type, "Q4_0_4_4");
    check_refused(one(9, 32, 0), Code::unsupported_type, "Q8_1");
    check_refused(one(137, 256, 0), Code::unsupported_type, "fork");
    check_refused(one(9999, 32, 0), Code::unsupported_type, "unknown type 9999");
    check_refused(one(-1, 32, 0), Code::unsupported_type, "unknown type -1");
    check_refused(GgufBytes{}.head(1, 0).tensor(std::string(300, 'x'), 0, 8, 0).data(32).out, Code::bad_file, "300 bytes");
    check_refused(GgufBytes{}.head(1, 0).text("t").put(uint32_t{5}).data(99).out, Code::bad_file, "5 dimensions");
    auto two = [](const char* name, int32_t type, uint64_t offset) {
        return GgufBytes{}.head(2, 0).tensor("a", type, 32, 0).tensor(name, 0, 8, offset).data(512).out;
    };
    CHECK(parse(two("b", 0, 128)));
    check_refused(two("a", 0, 128), Code::bad_file, "occurs twice");
    check_refused(two("b", 0, 96), Code::bad_file, "overlap");
    CHECK(parse(two("b", 39, 32)));  // MXFP4: 17 bytes, padded to 32
    check_refused(two("b", 39, 64), Code::unsupported_type, "fork-specific");
}
