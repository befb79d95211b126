// The test support itself: seeded numbers repeat, their moments are right, absent fixtures say so.
#include "support/catch.hpp"
#include "support/support.hpp"

#include <cmath>
#include <thread>

using namespace hearth::test;

TEST_CASE("the same seed gives the same numbers") {
    const std::uint64_t s = seed();
    Random a(s), b(s), other(s + 1);
    bool all_equal = true;
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t x = a.next();
        CHECK(x == b.next());
        all_equal = all_equal && x == other.next();
    }
    CHECK_FALSE(all_equal);
}

TEST_CASE("uniform numbers stay in their range and normal numbers have mean 0 and variance 1") {
    Random random(seed());
    constexpr int n = 40000;
    double sum = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
        const float u = random.uniform(-2.0f, 3.0f);
        REQUIRE((u >= -2.0f && u <= 3.0f));
        const double x = random.normal();
        sum += x;
        squares += x * x;
    }
    // Six standard errors: 1/sqrt(n) for the mean, sqrt(2/n) for the variance.
    CHECK(std::abs(sum / n) < 6 / std::sqrt(n));
    CHECK(std::abs(squares / n - 1) < 6 * std::sqrt(2.0 / n));
}

TEST_CASE("a fixture that is not there is an empty path, and written bytes read back") {
    CHECK(fixture("no/such/file").empty());
    const std::uint8_t bytes[] = {1, 0, 255, 10, 13};
    const std::string path = temp_path("support.bin");
    write_bytes(path, bytes, sizeof bytes);
    CHECK(read_bytes(path) == std::vector<std::uint8_t>(bytes, bytes + sizeof bytes));
}

TEST_CASE("fixture paths can be asked for from several threads", "[thread]") {
    std::vector<std::thread> threads;
    std::vector<int> found(4, -1);
    for (std::size_t i = 0; i < found.size(); ++i) {
        threads.emplace_back([&found, i] { found[i] = static_cast<int>(source_path("a").size() + seed() % 2); });
    }
    for (std::thread& thread : threads) thread.join();
    for (int length : found) CHECK(length == found[0]);
}
