// Stages that shorten the candidate list. Each takes what is left and leaves at least one candidate.
#pragma once

#include "runtime/sampler/candidates.hpp"
#include "runtime/sampler/stage.hpp"

namespace hearth {

void cut_top_n_sigma(Candidates& list, const CutParams& cut);
void cut_top_a(Candidates& list, const CutParams& cut);
void cut_tail_free(Candidates& list, const CutParams& cut);
void cut_typical(Candidates& list, const CutParams& cut, std::vector<Candidate>& scratch);
void cut_top_p(Candidates& list, const CutParams& cut);
void cut_min_p(Candidates& list, const CutParams& cut);
void cut_xtc(Candidates& list, const XtcParams& xtc, double chance);  // chance: uniform in [0, 1)

}  // namespace hearth
