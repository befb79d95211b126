// strftime in English, whatever locale the host has set.
#include <array>
#include <cstdlib>

#include "text/jinja/format.hpp"

namespace hearth::jinja {

namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

struct Moment {
    int64_t year;
    int month, day, weekday, day_of_year, hour, minute, second;  // month 1-12, weekday 0 = Sunday, day_of_year from 1
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
    return fill == '0' ? fmt::format("{:0{}}", n, width) : fmt::format("{:{}}", n, width);
}

Status append(std::string& out, char what, char flag, const Moment& m, int64_t seconds) {
    const int hour12 = m.hour % 12 == 0 ? 12 : m.hour % 12;
    switch (what) {
        case 'Y': out += number(m.year, 0, '0', flag); break;
        case 'y': out += number(m.year % 100, 2, '0', flag); break;
        case 'C': out += number(m.year / 100, 2, '0', flag); break;
        case 'm': out += number(m.month, 2, '0', flag); break;
        case 'd': out += number(m.day, 2, '0', flag); break;
        case 'e': out += number(m.day, 2, ' ', flag); break;
        case 'H': out += number(m.hour, 2, '0', flag); break;
        case 'I': out += number(hour12, 2, '0', flag); break;
        case 'k': out += number(m.hour, 2, ' ', flag); break;
        case 'l': out += number(hour12, 2, ' ', flag); break;
        case 'M': out += number(m.minute, 2, '0', flag); break;
        case 'S': out += number(m.second, 2, '0', flag); break;
        case 'f': out += "000000"; break;
        case 'j': out += number(m.day_of_year, 3, '0', flag); break;
        case 'u': out += std::to_string(m.weekday == 0 ? 7 : m.weekday); break;
        case 'w': out += std::to_string(m.weekday); break;
        case 's': out += std::to_string(seconds); break;
        case 'U': out += number((m.day_of_year + 6 - m.weekday) / 7, 2, '0', flag); break;
        case 'W': out += number((m.day_of_year + 6 - (m.weekday + 6) % 7) / 7, 2, '0', flag); break;
        case 'A': out += kDays[m.weekday]; break;
        case 'a': out += kDays[m.weekday].substr(0, 3); break;
        case 'B': out += kMonths[m.month - 1]; break;
        case 'b':
        case 'h': out += kMonths[m.month - 1].substr(0, 3); break;
        case 'p': out += m.hour < 12 ? "AM" : "PM"; break;
        case 'P': out += m.hour < 12 ? "am" : "pm"; break;
        case 'z':
        case 'Z': break;  // a time without a zone, as datetime.now() is
        case 'n': out += '\n'; break;
        case 't': out += '\t'; break;
        case '%': out += '%'; break;
        default: return fail(Code::template_error, "strftime_now: unknown directive '%{}'", what);
    }
    return {};
}

// Directives that stand for several.
std::string_view expansion(char what) {
    switch (what) {
        case 'F': return "%Y-%m-%d";
        case 'T':
        case 'X': return "%H:%M:%S";
        case 'R': return "%H:%M";
        case 'D':
        case 'x': return "%m/%d/%y";
        case 'c': return "%a %b %e %H:%M:%S %Y";
        case 'r': return "%I:%M:%S %p";
        default: return {};
    }
}

}  // namespace

Result<std::string> format_time(std::string_view format, int64_t seconds) {
    constexpr int64_t kFarthest = 253402300799;  // the end of the year 9999
    if (seconds < -62135596800 || seconds > kFarthest) return fail(Code::template_error, "strftime_now: the year is not 1 to 9999");
    const Moment moment = moment_of(seconds);
    std::string all;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const std::string_view longer = format[i] == '%' && i + 1 < format.size() ? expansion(format[i + 1]) : "";
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
        if ((flag == '-' || flag == '0' || flag == '_') && i + 1 < all.size()) ++i;
        else flag = 0;
        HEARTH_CHECK(append(out, all[i], flag, moment, seconds));
    }
    return out;
}

}  // namespace hearth::jinja
