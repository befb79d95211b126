// Skips, fixtures and random numbers for the tests.
#include "support/support.hpp"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <utility>

namespace hearth::test {

namespace {
std::vector<std::string> g_skipped;
std::mutex g_mutex;
}  // namespace

void skip(const std::string& reason) {
    std::lock_guard lock(g_mutex);
    g_skipped.push_back(reason);
}

const std::vector<std::string>& skipped() { return g_skipped; }

std::string fixture(const std::string& relative) {
    const char* root = std::getenv("HEARTH_TEST_FIXTURES");
    const std::string path = std::string(root ? root : HEARTH_TEST_FIXTURES) + "/" + relative;
    return std::filesystem::exists(path) ? path : "";
}

std::string source_path(const std::string& relative) { return std::string(HEARTH_TEST_SOURCE) + "/" + relative; }

std::string temp_path(const std::string& name) {
    const std::string folder = std::string(HEARTH_TEST_BINARY) + "/tmp";
    std::filesystem::create_directories(folder);
    return folder + "/" + std::to_string(getpid()) + "." + name;
}

std::vector<std::uint8_t> read_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::string& path, const void* data, std::size_t n) {
    std::ofstream(path, std::ios::binary).write(static_cast<const char*>(data), static_cast<std::streamsize>(n));
}

ScopedVariable::ScopedVariable(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) before_ = before;
    setenv(name_.c_str(), value.c_str(), 1);
}

ScopedVariable::~ScopedVariable() {
    if (before_)
        setenv(name_.c_str(), before_->c_str(), 1);
    else
        unsetenv(name_.c_str());
}

std::uint64_t seed() {
    static const std::uint64_t value = [] {
        const char* given = std::getenv("HEARTH_TEST_SEED");
        const std::uint64_t s = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::printf("HEARTH_TEST_SEED=%llu\n", static_cast<unsigned long long>(s));
        return s;
    }();
    return value;
}

std::uint64_t Random::next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float Random::uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(next() >> 40) * 0x1p-24f;
}

float Random::normal() {  // Box-Muller, one of the pair
    const double u = (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53, v = static_cast<double>(next() >> 11) * 0x1p-53;
    return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v));
}

std::vector<float> Random::normals(std::size_t n, float scale) {
    std::vector<float> out(n);
    for (float& x : out) x = normal() * scale;
    return out;
}

}  // namespace hearth::test
