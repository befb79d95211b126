// The profile's table: steps that do the same with weights of the same shape become one row.
#include "device/cpu/profile.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

struct Row {
    int64_t ns = 0, n_run = 0;
    double bytes = 0, flop = 0;  // of weights read, of multiply-adds with them
};

bool is_preparation(const Step& step) { return !step.node; }

// "LINEAR Q4_K 512x2048 + Q4_K 512x2048"
std::string name_of(const Step* step) {
    if (is_preparation(*step)) return step->matmul ? "(quantise rows)" : "(expert lists)";
    std::string name = op_name(step->node->op);
    if (!step->matmul) return name;
    for (int32_t i = 0; i <= step->n_more; ++i) {
        const hearth_weight& w = *step[i].weight[0].info;
        const Matrix m = matrix_of(w, step[i].weight[0].layout);
        name += i > 0 ? " + " : " ";
        name += std::string(find_format(w.format)->name) + " " + std::to_string(m.n_out) + "x" + std::to_string(m.n_in);
    }
    return name;
}

void add(Row& row, const Step* step, const StepTime& time) {
    row.ns += time.ns;
    if (!step->ends_node) row.n_run += time.n_run;
    if (is_preparation(*step) || !step->matmul) return;
    for (int32_t i = 0; i <= step->n_more; ++i) {
        const Matrix m = matrix_of(*step[i].weight[0].info, step[i].weight[0].layout);
        const int64_t n_row = step[i].out[0].rows == HEARTH_ROWS_OUTPUT ? time.n_output : time.n_token;
        row.bytes += static_cast<double>(m.matrix_bytes) * static_cast<double>(time.n_run);
        if (m.n_matrix == 1) row.flop += 2.0 * static_cast<double>(m.n_out * m.n_in) * static_cast<double>(n_row);
    }
}

}  // namespace

std::vector<std::string> profile_table(const hearth_program& program) {
    std::map<std::string, Row> rows;
    Row all;
    int64_t n_token = 0;
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
        if (program.times[i].n_run == 0) continue;
        add(rows[name_of(&program.steps[i])], &program.steps[i], program.times[i]);
        add(all, &program.steps[i], program.times[i]);
        n_token = std::max(n_token, program.times[i].n_token);
    }
    if (rows.empty()) return {};
    std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
    sorted.emplace_back("all of " + std::to_string(n_token) + " tokens", all);
    char line[256];
    std::snprintf(line, sizeof line, "%8s %10s %6s %8s %9s  %s", "runs", "ms", "%", "GB/s", "GFLOP/s", "what");
    std::vector<std::string> table{line};
    for (const auto& [name, row] : sorted) {
        const double ns = static_cast<double>(std::max<int64_t>(1, row.ns)), whole = static_cast<double>(std::max<int64_t>(1, all.ns));
        std::snprintf(line, sizeof line, "%8lld %10.3f %6.1f %8.4g %9.4g  %s", static_cast<long long>(row.n_run), ns * 1e-6,
                      100 * ns / whole, row.bytes / ns, row.flop / ns, name.c_str());
        table.emplace_back(line);
    }
    return table;
}

}  // namespace hearth::cpu
