// The few GGUF value kinds that a vocabulary is made of.
#include "gguf_vocab.hpp"

#include "support/catch.hpp"
#include "support/support.hpp"

#include <cstring>

namespace hearth::test {

namespace {

struct Cursor {
    const std::vector<std::uint8_t>& bytes;
    std::size_t at = 0;

    template <class T>
    T take() {
        T value{};
        REQUIRE(at + sizeof value <= bytes.size());
        std::memcpy(&value, bytes.data() + at, sizeof value);
        at += sizeof value;
        return value;
    }
    std::string_view string() {
        const auto n = take<std::uint64_t>();
        REQUIRE(n <= bytes.size() - at);
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at, n);
        at += n;
        return text;
    }
};

constexpr std::uint32_t kString = 8, kArray = 9;
constexpr std::size_t kScalarBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct Value {
    std::uint32_t type = 0;
    std::uint64_t bits = 0;  // of a scalar
    std::string_view text;
    std::vector<std::string_view> texts;
    std::vector<std::uint32_t> words;  // an array of 4-byte scalars
};

Value read_value(Cursor& in, std::uint32_t type) {
    Value value{type, 0, {}, {}, {}};
    if (type == kString) {
        value.text = in.string();
    } else if (type == kArray) {
        const auto of = in.take<std::uint32_t>();
        const auto n = in.take<std::uint64_t>();
        for (std::uint64_t i = 0; i < n; ++i) {
            Value element = read_value(in, of);
            if (of == kString) value.texts.push_back(element.text);
            if (kScalarBytes[of] == 4) value.words.push_back(static_cast<std::uint32_t>(element.bits));
        }
    } else {
        for (std::size_t i = 0; i < kScalarBytes[type]; ++i)
            value.bits |= static_cast<std::uint64_t>(in.take<std::uint8_t>()) << 8 * i;
    }
    return value;
}

void apply(VocabSource& source, std::string_view key, const Value& value) {
    if (key == "tokenizer.ggml.model") source.model = value.text;
    if (key == "tokenizer.ggml.pre") source.pre = value.text;
    if (key == "general.name") source.name = value.text;
    if (key == "general.architecture") source.architecture = value.text;
    if (key == "tokenizer.ggml.tokens") source.tokens = value.texts;
    if (key == "tokenizer.ggml.merges") source.merges = value.texts;
    if (key == "tokenizer.ggml.token_type") source.types.assign(value.words.begin(), value.words.end());
    if (key == "tokenizer.ggml.scores") {
        source.scores.resize(value.words.size());
        std::memcpy(source.scores.data(), value.words.data(), value.words.size() * 4);
    }
    if (key == "tokenizer.ggml.add_bos_token") source.add_bos = value.bits != 0;
    if (key == "tokenizer.ggml.add_eos_token") source.add_eos = value.bits != 0;
    if (key == "tokenizer.ggml.add_space_prefix") source.add_space_prefix = value.bits != 0;
    for (const RoleKey& role : kRoleKeys)
        if (key == role.key)
            source.role[static_cast<std::size_t>(role.role)] = static_cast<std::uint32_t>(value.bits);
}

}  // namespace

GgufVocab read_gguf_vocab(const std::string& path) {
    GgufVocab vocab{read_bytes(path), {}};
    Cursor in{vocab.bytes};
    REQUIRE(in.take<std::uint32_t>() == 0x46554747u);
    in.take<std::uint32_t>();  // version
    in.take<std::uint64_t>();  // tensors
    const auto n_key = in.take<std::uint64_t>();
    for (std::uint64_t i = 0; i < n_key; ++i) {
        const std::string_view key = in.string();
        const auto type = in.take<std::uint32_t>();
        apply(vocab.source, key, read_value(in, type));
    }
    return vocab;
}

std::unique_ptr<Vocab> fixture_vocab(const std::string& relative) {
    const std::string path = fixture(relative);
    if (path.empty()) {
        skip("no fixture " + relative);
        return nullptr;
    }
    const GgufVocab file = read_gguf_vocab(path);
    auto vocab = make_vocab(file.source);
    if (!vocab) FAIL(relative << ": " << error_record().message);
    return *std::move(vocab);
}

std::string fixture_text(const std::string& relative) {
    const auto bytes = read_bytes(fixture(relative));
    return {bytes.begin(), bytes.end()};
}

}  // namespace hearth::test
