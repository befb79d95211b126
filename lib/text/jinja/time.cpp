// strftime in English, whatever locale the host has set.
#include <array>
#include <cstdlib>

#include "text/jinja/format.hpp"

namespace hearth::jinja {

namespace {

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

struct Moment {
    int64_t year;
    int month, day, weekday, day_of_year, hour, minute,
        second;  // month 1-12, weekday 0 = Sunday, day_of_year from 1
};

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

Moment moment_of(int64_t seconds) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) rest += 86400, --days;
    Moment m{};
    m.hour = static_cast<int>(rest / 3600);
    m.minute = static_cast<int>(rest / 60 % 60);
    m.second = static_cast<int>(rest % 60);
    m.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
    m.year = 1970;
    for (; days < 0; days += is_leap(m.year) ? 366 : 365) --m.year;
    for (int n; days >= (n = is_leap(m.year) ? 366 : 365); days -= n) ++m.year;
    m.day_of_year = static_cast<int>(days) + 1;
    const std::array<int, 12> lengths{31, is_leap(m.year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (const int length : lengths) {
        ++m.month;
        if (days < length) break;
        days -= length;
    }
    m.day = static_cast<int>(days) + 1;
    return m;
}

std::string number(int64_t n, int width, char fill, char flag) {
    if (flag == '-') width = 0;
    if (flag == '0') fill = '0';
    if (flag == '_') fill = ' ';
    return fill == '0' ? format_text("{:0{}}", n, width) : format_text("{:{}}", n, width);
}

int hour12(const Moment& m) { return m.hour % 12 == 0 ? 12 : m.hour % 12; }

struct NumberRow {
    char what;
    int width;
    char fill;
    int64_t (*of)(const Moment& m);
};

constexpr NumberRow kNumbers[] = {
    {'Y', 0, '0', [](const Moment& m) { return m.year; }},
    {'y', 2, '0', [](const Moment& m) { return m.year % 100; }},
    {'C', 2, '0', [](const Moment& m) { return m.year / 100; }},
    {'m', 2, '0', [](const Moment& m) -> int64_t { return m.month; }},
    {'d', 2, '0', [](const Moment& m) -> int64_t { return m.day; }},
    {'e', 2, ' ', [](const Moment& m) -> int64_t { return m.day; }},
    {'H', 2, '0', [](const Moment& m) -> int64_t { return m.hour; }},
    {'k', 2, ' ', [](const Moment& m) -> int64_t { return m.hour; }},
    {'I', 2, '0', [](const Moment& m) -> int64_t { return hour12(m); }},
    {'l', 2, ' ', [](const Moment& m) -> int64_t { return hour12(m); }},
    {'M', 2, '0', [](const Moment& m) -> int64_t { return m.minute; }},
    {'S', 2, '0', [](const Moment& m) -> int64_t { return m.second; }},
    {'f', 6, '0', [](const Moment&) -> int64_t { return 0; }},
    {'j', 3, '0', [](const Moment& m) -> int64_t { return m.day_of_year; }},
    {'u', 1, '0', [](const Moment& m) -> int64_t { return m.weekday == 0 ? 7 : m.weekday; }},
    {'w', 1, '0', [](const Moment& m) -> int64_t { return m.weekday; }},
    {'U', 2, '0', [](const Moment& m) -> int64_t { return (m.day_of_year + 6 - m.weekday) / 7; }},
    {'W', 2, '0', [](const Moment& m) -> int64_t { return (m.day_of_year + 6 - (m.weekday + 6) % 7) / 7; }},
};

struct TextRow {
    char what;
    std::string_view (*of)(const Moment& m);
};

constexpr TextRow kTexts[] = {
    {'A', [](const Moment& m) { return kDays[m.weekday]; }},
    {'a', [](const Moment& m) { return kDays[m.weekday].substr(0, 3); }},
    {'B', [](const Moment& m) { return kMonths[m.month - 1]; }},
    {'b', [](const Moment& m) { return kMonths[m.month - 1].substr(0, 3); }},
    {'h', [](const Moment& m) { return kMonths[m.month - 1].substr(0, 3); }},
    {'p', [](const Moment& m) -> std::string_view { return m.hour < 12 ? "AM" : "PM"; }},
    {'P', [](const Moment& m) -> std::string_view { return m.hour < 12 ? "am" : "pm"; }},
    {'z',
     [](const Moment&) -> std::string_view { return ""; }},  // a time without a zone, as datetime.now() is
    {'Z', [](const Moment&) -> std::string_view { return ""; }},
    {'n', [](const Moment&) -> std::string_view { return "\n"; }},
    {'t', [](const Moment&) -> std::string_view { return "\t"; }},
    {'%', [](const Moment&) -> std::string_view { return "%"; }},
};

Status append(std::string& out, char what, char flag, const Moment& m) {
    for (const NumberRow& row : kNumbers)
        if (row.what == what) return out += number(row.of(m), row.width, row.fill, flag), Status();
    for (const TextRow& row : kTexts)
        if (row.what == what) return out += row.of(m), Status();
    return fail(Code::template_error, "strftime_now: unknown directive '%{}'", what);
}

// Directives that stand for several.
std::string_view expansion(char what) {
    switch (what) {
        case 'F':
            return "%Y-%m-%d";
        case 'T':
        case 'X':
            return "%H:%M:%S";
        case 'R':
            return "%H:%M";
        case 'D':
        case 'x':
            return "%m/%d/%y";
        case 'c':
            return "%a %b %e %H:%M:%S %Y";
        case 'r':
            return "%I:%M:%S %p";
        default:
            return {};
    }
}

}  // namespace

Result<std::string> format_time(std::string_view format, int64_t seconds) {
    constexpr int64_t kFarthest = 253402300799;  // the end of the year 9999
    if (seconds < -62135596800 || seconds > kFarthest)
        return fail(Code::template_error, "strftime_now: the year is not 1 to 9999");
    const Moment moment = moment_of(seconds);
    std::string all;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const std::string_view longer =
            format[i] == '%' && i + 1 < format.size() ? expansion(format[i + 1]) : "";
        if (longer.empty()) all += format[i];
        if (longer.empty() && format[i] == '%' && i + 1 < format.size()) all += format[i + 1];
        all += longer;
        if (format[i] == '%') ++i;
    }
    std::string out;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i] != '%' || i + 1 >= all.size()) {
            out += all[i];
            continue;
        }
        char flag = all[++i];
        if ((flag == '-' || flag == '0' || flag == '_') && i + 1 < all.size())
            ++i;
        else
            flag = 0;
        HEARTH_CHECK(append(out, all[i], flag, moment));
    }
    return out;
}

}  // namespace hearth::jinja
