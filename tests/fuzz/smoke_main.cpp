// Drives one fuzz target without libFuzzer: its corpus, then seeded mutations of it. With arguments: exactly those files.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>

#include "support/support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_byte);

namespace {

using Bytes = std::vector<std::uint8_t>;
using hearth::test::Random;

constexpr std::size_t kMaxBytes = 1 << 16;

std::vector<Bytes> read_corpus() {
    std::vector<std::string> paths;
    const std::string folder = hearth::test::source_path("tests/fuzz/corpus/" HEARTH_FUZZ_NAME);
    if (std::filesystem::exists(folder)) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());  // the same mutations on every machine
    std::vector<Bytes> corpus(1);           // the empty input comes first
    for (const std::string& path : paths) corpus.push_back(hearth::test::read_bytes(path));
    return corpus;
}

// Overwrites up to 8 bytes with a number that readers tend to get wrong: 0, -1, sign and size limits, small ones.
void write_number(Bytes& bytes, Random& random) {
    constexpr std::uint64_t kNumbers[] = {0,          1,          0x7f,       0xff,        0x7fff,
                                          0xffff,     0x7fffffff, 0x80000000, 0xffffffff,  0x7fffffffffffffff,
                                          1ull << 63, ~0ull,      1ull << 32, 1ull << 40,  ~0ull - 31};
    const std::uint64_t number = kNumbers[random.below(std::size(kNumbers))];
    const std::size_t width = std::size_t{1} << random.below(4);
    if (bytes.size() < width) return;
    std::memcpy(bytes.data() + random.below(bytes.size() - width + 1), &number, width);
}

void mutate_once(Bytes& bytes, const std::vector<Bytes>& corpus, Random& random) {
    const Bytes& other = corpus[random.below(corpus.size())];
    const std::size_t at = bytes.empty() ? 0 : random.below(bytes.size());
    switch (random.below(7)) {
    case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<std::uint8_t>(1u << random.below(8));
        break;
    case 1:
        if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(random.next());
        break;
    case 2: write_number(bytes, random); break;
    case 3: bytes.resize(at); break;
    case 4:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + random.below(8),
                     static_cast<std::uint8_t>(random.next()));
        break;
    case 5:
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 1 + random.below(8))));
        break;
    case 6:
        if (!other.empty()) {
            const std::size_t from = random.below(other.size());
            bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                         other.begin() + static_cast<std::ptrdiff_t>(from),
                         other.begin() + static_cast<std::ptrdiff_t>(std::min(other.size(), from + 64)));
        }
        break;
    }
    if (bytes.size() > kMaxBytes) bytes.resize(kMaxBytes);
}

// A heap copy of exactly this size, so that AddressSanitizer sees the first byte read past the end.
void run_one(const Bytes& bytes) {
    const auto copy = std::make_unique<std::uint8_t[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.get());
    LLVMFuzzerTestOneInput(copy.get(), bytes.size());
}

int run_files(int n_file, char** files) {
    for (int i = 0; i < n_file; ++i) run_one(hearth::test::read_bytes(files[i]));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) return run_files(argc - 1, argv + 1);
    const char* wanted = std::getenv("HEARTH_FUZZ_INPUTS");
    const long n_input = wanted ? std::strtol(wanted, nullptr, 10) : 2000;
    const std::vector<Bytes> corpus = read_corpus();
    Random random(hearth::test::seed());
    const std::string last = hearth::test::temp_path("fuzz_" HEARTH_FUZZ_NAME);
    std::printf("the input under test is in %s, should it crash\n", last.c_str());
    std::fflush(stdout);
    for (const Bytes& input : corpus) run_one(input);
    for (long i = 0; i < n_input; ++i) {
        Bytes bytes = corpus[random.below(corpus.size())];
        for (std::uint64_t n = 1 + random.below(8); n > 0; --n) mutate_once(bytes, corpus, random);
        hearth::test::write_bytes(last, bytes.data(), bytes.size());
        run_one(bytes);
    }
    std::filesystem::remove(last);
    std::printf("%ld mutations of %zu inputs\n", n_input, corpus.size());
    return 0;
}
