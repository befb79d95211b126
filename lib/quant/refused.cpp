// The table of refused tensor types.
#include "quant/refused.hpp"

namespace hearth {

namespace {

constexpr std::string_view kUnsupported =
    "it is not supported yet; use a Q2_K to Q8_0, IQ4 or MXFP4 file of this model";
constexpr std::string_view kInteger = "weights of this plain type are not supported";
constexpr std::string_view kActivation = "it holds activations in memory and never appears in files";
constexpr std::string_view kRemoved = "it was removed from GGUF; convert the model again";
constexpr std::string_view kFork = "it exists in one fork of llama.cpp only; use a file made by mainline";

// Ids of ggml.h; those from 97 on of ik_llama.cpp. Ids 36 and 41 mean different things in different forks.
constexpr RefusedFormat kRefused[] = {
    {4, "Q4_2", kRemoved},         {5, "Q4_3", kRemoved},
    {9, "Q8_1", kActivation},      {15, "Q8_K", kActivation},
    {16, "IQ2_XXS", kUnsupported}, {17, "IQ2_XS", kUnsupported},
    {18, "IQ3_XXS", kUnsupported}, {19, "IQ1_S", kUnsupported},
    {21, "IQ3_S", kUnsupported},   {22, "IQ2_S", kUnsupported},
    {24, "I8", kInteger},          {25, "I16", kInteger},
    {26, "I32", kInteger},         {27, "I64", kInteger},
    {28, "F64", kInteger},         {29, "IQ1_M", kUnsupported},
    {31, "Q4_0_4_4", kRemoved},    {32, "Q4_0_4_8", kRemoved},
    {33, "Q4_0_8_8", kRemoved},    {34, "TQ1_0", kUnsupported},
    {35, "TQ2_0", kUnsupported},   {36, "IQ4_NL_4_4 (or a fork's I2_S)", kRemoved},
    {37, "IQ4_NL_4_8", kRemoved},  {38, "IQ4_NL_8_8", kRemoved},
    {40, "NVFP4", kUnsupported},   {41, "Q1_0", kUnsupported},
    {42, "Q2_0", kUnsupported},    {97, "Q8_0_X4", kFork},
    {98, "Q8_1_X4", kFork},        {99, "Q8_2_X4", kFork},
    {133, "Q6_0", kFork},          {134, "IQ1_BN", kFork},
    {135, "IQ2_BN", kFork},        {136, "Q8_K64", kFork},
    {137, "IQ2_K", kFork},         {138, "IQ3_K", kFork},
    {139, "IQ4_K", kFork},         {140, "IQ5_K", kFork},
    {141, "IQ6_K", kFork},         {144, "IQ4_KS", kFork},
    {145, "IQ2_KS", kFork},        {146, "IQ4_KSS", kFork},
    {152, "IQ5_KS", kFork},        {153, "IQ2_KT", kFork},
    {154, "IQ3_KT", kFork},        {155, "IQ4_KT", kFork},
    {156, "IQ3_KS", kFork},        {157, "IQ2_KL", kFork},
    {158, "IQ1_KT", kFork},
};

// Row-interleaved copies of other types (_R4, _R8, _R16) have the ids from 200 on there.
constexpr int32_t kFirstInterleaved = 200, kLastInterleaved = 399;
constexpr RefusedFormat kInterleaved = {kFirstInterleaved, "row-interleaved (_R4, _R8, _R16)", kFork};

}  // namespace

const RefusedFormat* refused_format(int32_t id) {
    for (const RefusedFormat& entry : kRefused)
        if (entry.id == id) return &entry;
    return id >= kFirstInterleaved && id <= kLastInterleaved ? &kInterleaved : nullptr;
}

std::string_view refused_format_name(int32_t id) {
    const RefusedFormat* entry = refused_format(id);
    return entry ? entry->name : std::string_view{};
}

}  // namespace hearth
