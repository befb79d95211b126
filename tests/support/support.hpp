// What tests share: skipping out loud, fixture paths, seeded random numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth::test {

// Catch2 2.13 has no SKIP: note why a check did not run and return from the test. Printed last by main().
void skip(const std::string& reason);
const std::vector<std::string>& skipped();

// Path of a file below the fixtures folder, or "" where it is absent (then call skip() and return).
std::string fixture(const std::string& relative);
std::string source_path(const std::string& relative);  // a file of this repository
std::string temp_path(const std::string& name);        // unique per process, inside the build folder
std::vector<std::uint8_t> read_bytes(const std::string& path);
void write_bytes(const std::string& path, const void* data, std::size_t n);

// A variable of the environment for as long as this lives; then it is as it was, however the test ends.
class ScopedVariable {
  public:
    ScopedVariable(std::string name, const std::string& value);
    ~ScopedVariable();
    ScopedVariable(const ScopedVariable&) = delete;
    ScopedVariable& operator=(const ScopedVariable&) = delete;

  private:
    std::string name_;
    std::optional<std::string> before_;
};

// Seed of this run: HEARTH_TEST_SEED or a fresh one, printed once so that a failure can be repeated.
std::uint64_t seed();

// SplitMix64: small, seedable, the same everywhere.
class Random {
  public:
    explicit Random(std::uint64_t seed_value) : state_(seed_value) {}
    std::uint64_t next();
    std::uint64_t below(std::uint64_t n) { return next() % n; }
    float uniform(float low, float high);
    float normal();
    std::vector<float> normals(std::size_t n, float scale = 1.0f);

  private:
    std::uint64_t state_;
};

}  // namespace hearth::test
