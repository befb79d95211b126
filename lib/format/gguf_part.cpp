// Parses a GGUF header: magic, counts, metadata, tensor table.
#include "format/gguf_part.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "base/checked.hpp"
#include "format/byte_reader.hpp"
#include "quant/refused.hpp"

namespace hearth {

namespace {

constexpr uint32_t kMagic = 0x46554747;                                 // "GGUF"
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1, kMinTensorBytes = 8 + 1 + 4 + 4 + 8;
constexpr int32_t kFirstForkId = 36;  // forks reuse ids from here on for types of their own

// One element of an array or a scalar, as stored and as held.
template <class Stored, class Held>
Status convert(ByteReader& in, std::string_view key, Stored stored, Held* held) {
    if constexpr (std::is_same_v<Stored, uint64_t>) {
        if (stored > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
            return fail(Code::bad_file, "{}: the key {} holds {}, above the largest integer supported", in.name(), key, stored);
    }
    *held = static_cast<Held>(stored);
    return {};
}

// Can an array of n entries, each at least so many bytes, be in what is left?
Status check_count(ByteReader& in, std::string_view key, uint64_t n, std::size_t entry_bytes) {
    if (n <= kGgufMaxArray && n <= in.remaining() / entry_bytes) return {};
    return fail(Code::bad_file, "{}: the key {} claims {} array entries, but {} bytes are left (damaged file?)", in.name(),
                key, n, in.remaining());
}

template <class Stored, class Held>
Status read_scalar(ByteReader& in, std::string_view key, MetaValue* value) {
    Stored stored{};
    Held held{};
    HEARTH_CHECK(in.read(&stored));
    HEARTH_CHECK((convert<Stored, Held>(in, key, stored, &held)));
    *value = held;
    return {};
}

template <class Stored, class Held>
Status read_array(ByteReader& in, std::string_view key, uint64_t n, MetaValue* value) {
    HEARTH_CHECK(check_count(in, key, n, sizeof(Stored)));
    std::vector<Held> list(static_cast<std::size_t>(n));
    Stored piece[1024];
    for (std::size_t i = 0; i < list.size(); i += std::size(piece)) {
        const std::size_t n_here = std::min(std::size(piece), list.size() - i);
        HEARTH_CHECK(in.read(piece, n_here * sizeof(Stored)));
        for (std::size_t j = 0; j < n_here; ++j) HEARTH_CHECK((convert<Stored, Held>(in, key, piece[j], &list[i + j])));
    }
    *value = std::move(list);
    return {};
}

// A byte that must be 0 or 1.
Status check_bool(ByteReader& in, std::string_view key, int64_t byte) {
    if (byte <= 1) return {};
    return fail(Code::bad_file, "{}: the key {} holds the byte {} where a boolean is 0 or 1", in.name(), key, byte);
}

Status read_bool(ByteReader& in, std::string_view key, MetaValue* value) {
    uint8_t byte = 0;
    HEARTH_CHECK(in.read(&byte));
    HEARTH_CHECK(check_bool(in, key, byte));
    *value = byte != 0;
    return {};
}

Status read_bools(ByteReader& in, std::string_view key, uint64_t n, MetaValue* value) {
    HEARTH_CHECK((read_array<uint8_t, int64_t>(in, key, n, value)));
    for (const int64_t byte : std::get<std::vector<int64_t>>(*value)) HEARTH_CHECK(check_bool(in, key, byte));
    return {};
}

Status read_string(ByteReader& in, std::string_view, MetaValue* value) { return in.read(&value->emplace<std::string>()); }

Status read_strings(ByteReader& in, std::string_view key, uint64_t n, MetaValue* value) {
    HEARTH_CHECK(check_count(in, key, n, sizeof(uint64_t)));
    auto& list = value->emplace<std::vector<std::string>>(static_cast<std::size_t>(n));
    for (std::string& text : list) HEARTH_CHECK(in.read(&text));
    return {};
}

struct ValueReader {
    Status (*scalar)(ByteReader& in, std::string_view key, MetaValue* value);
    Status (*array)(ByteReader& in, std::string_view key, uint64_t n, MetaValue* value);
};

template <class Stored, class Held>
constexpr ValueReader kNumber = {read_scalar<Stored, Held>, read_array<Stored, Held>};

// By GgufType; a null reader = an array.
constexpr ValueReader kReaders[] = {
    kNumber<uint8_t, int64_t>,   kNumber<int8_t, int64_t>,    kNumber<uint16_t, int64_t>, kNumber<int16_t, int64_t>,
    kNumber<uint32_t, int64_t>,  kNumber<int32_t, int64_t>,   kNumber<float, double>,     {read_bool, read_bools},
    {read_string, read_strings}, {nullptr, nullptr},          kNumber<uint64_t, int64_t>, kNumber<int64_t, int64_t>,
    kNumber<double, double>,
};

Status check_type(ByteReader& in, std::string_view key, uint32_t type) {
    if (type < std::size(kReaders)) return {};
    return fail(Code::bad_file, "{}: the key {} has the unknown value type {}", in.name(), key, type);
}

Status read_value(ByteReader& in, std::string_view key, MetaValue* value) {
    uint32_t type = 0;
    HEARTH_CHECK(in.read(&type));
    HEARTH_CHECK(check_type(in, key, type));
    if (kReaders[type].scalar) return kReaders[type].scalar(in, key, value);
    uint64_t n = 0;
    HEARTH_CHECK(in.read(&type));
    HEARTH_CHECK(in.read(&n));
    HEARTH_CHECK(check_type(in, key, type));
    if (kReaders[type].array) return kReaders[type].array(in, key, n, value);
    return fail(Code::bad_file, "{}: the key {} is an array of arrays, which is not supported", in.name(), key);
}

Status read_metadata(ByteReader& in, uint64_t n_pair, GgufPart* part) {
    std::string key;
    for (uint64_t i = 0; i < n_pair; ++i) {
        HEARTH_CHECK(in.read(&key));
        if (key.empty() || key.size() > kGgufMaxKey)
            return fail(Code::bad_file, "{}: key {} of {} has a name of {} bytes; 1 to {} are allowed", in.name(), i + 1,
                        n_pair, key.size(), kGgufMaxKey);
        const auto [place, is_new] = part->metadata.try_emplace(key);
        if (!is_new) return fail(Code::bad_file, "{}: the key {} occurs twice", in.name(), key);
        HEARTH_CHECK(read_value(in, key, &place->second));
    }
    const auto found = part->metadata.find("general.alignment");
    if (found == part->metadata.end()) return {};
    const auto* alignment = std::get_if<int64_t>(&found->second);
    if (!alignment || *alignment <= 0 || (*alignment & (*alignment - 1)) != 0 || *alignment > kGgufMaxAlignment)
        return fail(Code::bad_file, "{}: the key general.alignment is not a power of two up to {}", in.name(),
                    kGgufMaxAlignment);
    part->alignment = static_cast<uint64_t>(*alignment);
    return {};
}

Status read_type(ByteReader& in, TensorInfo* tensor) {
    int32_t id = 0;
    HEARTH_CHECK(in.read(&id));
    if (const FormatInfo* info = find_format(id)) {
        tensor->format = info->format;
        return {};
    }
    if (const RefusedFormat* refused = refused_format(id))
        return fail(Code::unsupported_type, "{}: tensor {} has the type {} (id {}), which is refused: {}", in.name(),
                    tensor->name, refused->name, id, refused->reason);
    return fail(Code::unsupported_type, "{}: tensor {} has the unknown type {} (fork-specific, or newer than this library?)",
                in.name(), tensor->name, id);
}

// Sizes of the dimensions, in the file fastest first, and what follows from them.
Status set_shape(ByteReader& in, const uint64_t (&dims)[4], TensorInfo* tensor) {
    const FormatInfo& info = *find_format(static_cast<int32_t>(tensor->format));
    uint64_t n_element = 1;
    for (int i = 0; i < tensor->n_dim; ++i) {
        if (dims[i] == 0 || !checked_mul(n_element, dims[i], &n_element) || n_element > kGgufMaxElements)
            return fail(Code::bad_file, "{}: tensor {} has an absurd size in dimension {}: {}", in.name(), tensor->name, i,
                        dims[i]);
        tensor->shape[tensor->n_dim - 1 - i] = static_cast<int64_t>(dims[i]);
    }
    const auto block = static_cast<uint64_t>(info.block_elements), width = static_cast<uint64_t>(tensor->row_width());
    if (width % block != 0)
        return fail(Code::bad_file, "{}: tensor {} has rows of {} elements, not a multiple of the {} of {}", in.name(),
                    tensor->name, width, block, info.name);
    tensor->bytes = n_element / block * static_cast<uint64_t>(info.block_bytes);  // at most 4 * 2^60
    return {};
}

Status read_tensor(ByteReader& in, uint64_t alignment, TensorInfo* tensor) {
    HEARTH_CHECK(in.read(&tensor->name));
    if (tensor->name.empty() || tensor->name.size() > kGgufMaxTensorName || tensor->name.find('\0') != std::string::npos)
        return fail(Code::bad_file, "{}: a tensor name before {} has {} bytes or a NUL; 1 to {} bytes are allowed", in.name(),
                    in.position(), tensor->name.size(), kGgufMaxTensorName);
    uint32_t n_dim = 0;
    HEARTH_CHECK(in.read(&n_dim));
    if (n_dim > 4)
        return fail(Code::bad_file, "{}: tensor {} has {} dimensions; up to 4 are supported", in.name(), tensor->name, n_dim);
    tensor->n_dim = static_cast<int32_t>(n_dim);
    uint64_t dims[4] = {1, 1, 1, 1};
    HEARTH_CHECK(in.read(dims, n_dim * sizeof dims[0]));
    HEARTH_CHECK(read_type(in, tensor));
    HEARTH_CHECK(in.read(&tensor->offset));
    HEARTH_CHECK(set_shape(in, dims, tensor));
    if (tensor->offset % alignment == 0) return {};
    return fail(Code::bad_file, "{}: tensor {} lies at offset {} of the data, not a multiple of the alignment {}", in.name(),
                tensor->name, tensor->offset, alignment);
}

// Makes offsets absolute; every tensor must lie inside the file.
Status place_tensors(const Source& source, uint64_t data_begin, std::vector<TensorInfo>* tensors) {
    for (TensorInfo& tensor : *tensors) {
        uint64_t begin = 0, end = 0;
        const bool representable = checked_add(data_begin, tensor.offset, &begin) && checked_add(begin, tensor.bytes, &end);
        if (!representable || end > source.size())
            return fail(Code::bad_file, "{}: tensor {} needs {} bytes at offset {} of the data, which starts at {}, but the "
                        "file ends at {} (truncated download?)", source.name(), tensor.name, tensor.bytes, tensor.offset,
                        data_begin, source.size());
        tensor.offset = begin;
    }
    return {};
}

// No two tensors share bytes, and an id that forks reuse takes as many bytes as ours does.
Status check_neighbours(const Source& source, const GgufPart& part) {
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& tensor : part.tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
        const TensorInfo &tensor = *order[i - 1], &next = *order[i];
        const uint64_t gap = next.offset - tensor.offset;
        const bool overlaps = gap < tensor.bytes, loose = gap >= tensor.bytes + part.alignment;
        if (static_cast<int32_t>(tensor.format) >= kFirstForkId && (overlaps || loose))
            return fail(Code::unsupported_type, "{}: tensor {} takes {} bytes where {} takes {}: id {} is a fork-specific type "
                        "in this file", source.name(), tensor.name, gap,
                        find_format(static_cast<int32_t>(tensor.format))->name, tensor.bytes,
                        static_cast<int32_t>(tensor.format));
        if (overlaps)
            return fail(Code::bad_file, "{}: tensors {} and {} overlap at offset {}", source.name(), tensor.name, next.name,
                        next.offset);
    }
    return {};
}

Status check_version(const std::string& name, uint32_t version) {
    if (version == 2 || version == kGgufVersion) return {};
    if (version != 0 && (version & 0xffff) == 0)
        return fail(Code::bad_file, "{}: is a big-endian GGUF file; convert it to little-endian", name);
    if (version == 1) return fail(Code::bad_file, "{}: is a GGUF file of version 1; convert the model again", name);
    return fail(Code::bad_file, "{}: is a GGUF file of version {}; 2 and 3 are supported", name, version);
}

}  // namespace

Result<GgufPart> read_gguf_part(const Source& source) {
    ByteReader in(source);
    GgufPart part;
    uint32_t magic = 0;
    if (source.size() >= sizeof magic) HEARTH_CHECK(in.read(&magic));
    if (magic != kMagic)
        return fail(Code::bad_file, "{}: is not a GGUF file ({} bytes, does not start with GGUF)", source.name(), source.size());
    HEARTH_CHECK(in.read(&part.version));
    HEARTH_CHECK(check_version(source.name(), part.version));
    uint64_t n_tensor = 0, n_pair = 0;
    HEARTH_CHECK(in.read(&n_tensor));
    HEARTH_CHECK(in.read(&n_pair));
    if (n_pair > in.remaining() / kMinPairBytes || n_tensor > in.remaining() / kMinTensorBytes)
        return fail(Code::bad_file, "{}: claims {} keys and {} tensors, more than its {} bytes can hold (damaged file?)",
                    source.name(), n_pair, n_tensor, source.size());
    HEARTH_CHECK(read_metadata(in, n_pair, &part));
    std::set<std::string_view> names;
    part.tensors.resize(static_cast<std::size_t>(n_tensor));  // never again: names points into it
    for (TensorInfo& tensor : part.tensors) {
        HEARTH_CHECK(read_tensor(in, part.alignment, &tensor));
        if (!names.insert(tensor.name).second)
            return fail(Code::bad_file, "{}: tensor {} occurs twice", source.name(), tensor.name);
    }
    const uint64_t mask = part.alignment - 1, data_begin = (in.position() + mask) & ~mask;  // file sizes are below 2^63
    HEARTH_CHECK(place_tensors(source, data_begin, &part.tensors));
    HEARTH_CHECK(check_neighbours(source, part));
    return part;
}

}  // namespace hearth
