// The quantizer: tensors are decoded, encoded and written one after the other, rows in parallel.
#include "runtime/quantize.hpp"

#include <algorithm>

#include "format/gguf_writer.hpp"
#include "quant/format.hpp"
#include "runtime/open.hpp"

namespace hearth {

namespace {

constexpr int64_t kRowsPerPart = 16, kPartsPerBatch = 32;

class Quantizer {
  public:
    Quantizer(Runtime& runtime, const TensorSource& source, Format target, const QuantizeOptions& options)
        : runtime_(runtime), source_(source), target_(target), options_(options) {}

    // Matrices whose rows are whole blocks; vectors, and what only rotates or routes, keep their format.
    Format format_of(const TensorInfo& tensor) const {
        const FormatInfo* info = find_format(static_cast<int32_t>(target_));
        const bool matrix = tensor.n_dim >= 2 && tensor.row_width() % info->block_elements == 0;
        const bool named = tensor.name.size() > 7 && tensor.name.compare(tensor.name.size() - 7, 7, ".weight") == 0;
        const bool small = tensor.name.find("ffn_gate_inp") != std::string::npos || tensor.name.find("_norm") != std::string::npos ||
                           tensor.name.find("shortconv.conv") != std::string::npos ||
                           tensor.name.find("position_embd") != std::string::npos;
        return matrix && named && !small ? target_ : tensor.format;
    }

    Status write(const TensorInfo& out, const ByteSink& sink) {
        const TensorInfo& in = *source_.find_tensor(out.name);
        const int64_t n_row = in.n_row(), step = kRowsPerPart * kPartsPerBatch;
        const FormatInfo &from = *find_format(static_cast<int32_t>(in.format)), &to = *find_format(static_cast<int32_t>(out.format));
        width_ = static_cast<std::size_t>(in.row_width());
        in_bytes_ = row_bytes(from, width_);
        out_bytes_ = row_bytes(to, width_);
        from_ = in.format;
        to_ = out.format;
        for (int64_t row = 0; row < n_row; row += step) {
            n_row_ = std::min(step, n_row - row);
            raw_.resize(static_cast<std::size_t>(n_row_) * in_bytes_);
            HEARTH_CHECK(source_.read_rows(in, row, n_row_, raw_.data()));
            if (from_ != to_) convert();
            HEARTH_CHECK(sink(from_ == to_ ? raw_.data() : made_.data(), static_cast<std::size_t>(n_row_) * out_bytes_));
            done_ += static_cast<uint64_t>(n_row_) * in_bytes_;
            if (options_.progress && !options_.progress(done_, total_)) return fail(Code::cancelled, "the quantization was cancelled");
        }
        return {};
    }

    void count() {
        for (const TensorInfo& tensor : source_.tensors()) total_ += tensor.bytes;
    }

  private:
    void convert() {
        made_.resize(static_cast<std::size_t>(n_row_) * out_bytes_);
        floats_.resize(static_cast<std::size_t>(n_row_) * width_);
        std::lock_guard lock(runtime_.pool_mutex());
        runtime_.pool().run((n_row_ + kRowsPerPart - 1) / kRowsPerPart, part, this, nullptr);
    }
    static void part(void* self, int64_t index, int32_t) {
        auto& q = *static_cast<Quantizer*>(self);
        const auto begin = static_cast<std::size_t>(index * kRowsPerPart);
        const auto n = static_cast<std::size_t>(std::min(kRowsPerPart, q.n_row_ - index * kRowsPerPart));
        float* floats = q.floats_.data() + begin * q.width_;
        decode(q.from_, q.raw_.data() + begin * q.in_bytes_, floats, n * q.width_);
        encode(q.to_, floats, q.made_.data() + begin * q.out_bytes_, n * q.width_);
    }

    Runtime& runtime_;
    const TensorSource& source_;
    Format target_, from_ = Format::F32, to_ = Format::F32;
    const QuantizeOptions& options_;
    std::size_t width_ = 0, in_bytes_ = 0, out_bytes_ = 0;
    int64_t n_row_ = 0;
    uint64_t done_ = 0, total_ = 0;
    std::vector<std::byte> raw_, made_;
    std::vector<float> floats_;
};

// general.file_type of files that hold one format for the most part (llama.cpp's numbers); -1 = leave the key out.
int64_t file_type(Format format) {
    switch (format) {
        case Format::F32: return 0;
        case Format::F16: return 1;
        case Format::Q4_0: return 2;
        case Format::Q4_1: return 3;
        case Format::Q8_0: return 7;
        case Format::Q5_0: return 8;
        case Format::Q5_1: return 9;
        case Format::Q2_K: return 10;
        case Format::Q3_K: return 12;
        case Format::Q4_K: return 15;
        case Format::Q5_K: return 17;
        case Format::Q6_K: return 18;
        case Format::IQ4_NL: return 25;
        case Format::IQ4_XS: return 30;
        case Format::BF16: return 32;
        case Format::MXFP4: return 38;
    }
    return -1;
}

}  // namespace

Status quantize_file(Runtime& runtime, std::string_view in_path, std::string_view out_path, const QuantizeOptions& options) {
    const FormatInfo* target = find_format(std::string_view(options.type));
    if (!target) {
        std::string known;
        for (const FormatInfo& info : kFormats) known += (known.empty() ? "" : ", ") + std::string(info.name);
        return fail(Code::invalid_argument, "unknown tensor type '{}'; known are {}", options.type, known);
    }
    HEARTH_TRY(auto source, open_model_path(in_path, FileMode::pread));
    Quantizer quantizer(runtime, *source, target->format, options);
    quantizer.count();
    GgufContent content;
    content.metadata = source->metadata();
    content.metadata["general.file_type"] = file_type(target->format);
    content.metadata["general.quantization_version"] = int64_t{2};
    for (const char* key : {"split.no", "split.count", "split.tensors.count"}) content.metadata.erase(key);
    content.tensors = source->tensors();
    for (TensorInfo& tensor : content.tensors) tensor.format = quantizer.format_of(tensor);
    return write_gguf_file(out_path, content,
                           [&](const TensorInfo& tensor, const ByteSink& sink) { return quantizer.write(tensor, sink); });
}

}  // namespace hearth
