#include <algorithm>
#include <optional>
#include <utility>

#include "archive/convert.hpp"
#include "archive/read/parts/pieces.hpp"
#include "base/bytes.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/threads.hpp"
#include "interop/array.hpp"
#include "interop/safetensors/file.hpp"
#include "interop/safetensors/header.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

using Tensor = SafetensorsHeader::Tensor;

constexpr std::uint64_t shortest_header = 2;  // "{}"
constexpr std::size_t header_piece = std::size_t{1} << 20;
constexpr std::uint64_t parallel_bytes = std::uint64_t{8} << 20;
/// What a thread reads at once: a huge page, so that no two threads wait for the same page to be cleared.
constexpr std::uint64_t piece_bytes = std::uint64_t{2} << 20;

void check_header_length(std::uint64_t length) {
  if (length > longest_safetensors_header) {
    fail(Errc::limit_exceeded, "a header of " + std::to_string(length) + " bytes");
  }
}

/// The header's text, in memory that grows as it comes.
std::string read_header(Source& source) {
  std::byte start[safetensors_length_bytes];
  read_exactly(source, start);
  const auto length = load_le<std::uint64_t>(start);
  check_header_length(length);
  std::string text;
  while (text.size() < length) {
    const std::size_t have = text.size();
    text.resize(static_cast<std::size_t>(std::min<std::uint64_t>(length, std::max(header_piece, 2 * have))));
    read_exactly(source, std::as_writable_bytes(std::span(text)).subspan(have));
  }
  return text;
}

std::string_view mapped_header(Bytes file) {
  if (file.size() < safetensors_length_bytes) {
    fail(Errc::truncated, "a safetensors file of " + std::to_string(file.size()) + " bytes");
  }
  const auto length = load_le<std::uint64_t>(file.data());
  check_header_length(length);
  if (length > file.size() - safetensors_length_bytes) {
    fail(Errc::truncated, "the file ends within its header of " + std::to_string(length) + " bytes");
  }
  return {reinterpret_cast<const char*>(file.data()) + safetensors_length_bytes, static_cast<std::size_t>(length)};
}

void check_file_size(std::uint64_t size, std::uint64_t data_begin, std::uint64_t data_bytes) {
  const std::uint64_t data = size - std::min(size, data_begin);
  if (data < data_bytes) {
    fail(Errc::truncated, "it ends " + std::to_string(data_bytes - data) + " bytes early");
  }
  if (data > data_bytes) {
    fail(Errc::malformed, "it goes on for " + std::to_string(data - data_bytes) + " bytes after its arrays");
  }
}

/// How the elements are held: packed ones, and those of a type that stele lacks, as bytes.
ArrayHeader array_header(const SafetensorsHeader& header, const Tensor& tensor) {
  if (tensor.type->is_packed()) {
    return {DType::Kind::uint8, Shape{tensor.end - tensor.begin}};
  }
  const bool is_known = tensor.type->kind != DType::Kind::none;
  return {is_known ? tensor.type->kind : DType::Kind::uint8, header.shape(tensor)};
}

Value::Entry entry_of(const SafetensorsHeader& header, const Tensor& tensor, AnyArray array) {
  Value content(std::move(array));
  if (tensor.type->is_packed()) {
    const std::uint64_t* const extents = header.extents.data() + tensor.extents_at;
    Value shape(AnyArray::copy_of(ArrayView(DType::Kind::uint64, extents, tensor.rank)));
    content = Value::make_record({"shape", "data"}, {std::move(shape), std::move(content)});
  }
  if (tensor.type->kind == DType::Kind::none) {
    content = Value::make_typed(std::string(safetensors_typed) + std::string(tensor.type->name), std::move(content));
  }
  return {Value(tensor.name), std::move(content)};
}

/// Adds the array's name to Errors.
template <class Work>
decltype(auto) at_tensor(const Tensor& tensor, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error& error) {
    rethrow_at(error, {.path = safetensors_path(tensor.name)});
  }
}

void check_allocation(const Neighbour& file, const ArrayHeader& header) {
  if (const std::uint64_t bytes = array_bytes(header); bytes > file.options.limits.allocation) {
    fail(Errc::limit_exceeded, "an array of " + std::to_string(bytes) + " bytes");
  }
}

/// A part of an array that one thread reads.
struct Piece {
  std::uint64_t at = 0;  // in the file
  MutableBytes to;
  const Tensor* tensor = nullptr;
};

void add_pieces(std::vector<Piece>& pieces, const Source& source, std::uint64_t from, const Tensor& tensor,
                MutableBytes to) {
  for (std::uint64_t begin = 0, end = 0; begin < to.size(); begin = end) {
    do {
      end = std::min<std::uint64_t>(source.next_cut(from + end) - from, to.size());
    } while (end - begin < piece_bytes && end < to.size());
    const MutableBytes part = to.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    pieces.push_back({from + begin, part, &tensor});
  }
}

/// Reads arrays at their places, on several threads. The whole file is known to be there.
std::vector<Value::Entry> read_at_places(const Neighbour& file, std::uint64_t data_begin,
                                         const SafetensorsHeader& header, const std::vector<const Tensor*>& wanted) {
  std::vector<std::shared_ptr<Buffer>> buffers;
  buffers.reserve(wanted.size());
  std::vector<Piece> pieces;
  std::uint64_t all = 0;
  for (const Tensor* const tensor : wanted) {
    at_tensor(*tensor, [&] {
      check_allocation(file, array_header(header, *tensor));
      const auto bytes = static_cast<std::size_t>(tensor->end - tensor->begin);
      buffers.push_back(Buffer::allocate(bytes));
      add_pieces(pieces, file.source, data_begin + tensor->begin, *tensor, {buffers.back()->mutable_data(), bytes});
      all += bytes;
    });
  }
  Crew crew(all < parallel_bytes ? 1 : thread_count(file.options.threads));
  read_pieces(crew, {.size = pieces.size(),
                     .end_of = [](std::uint64_t begin) { return begin + 1; },
                     .read =
                         [&](std::uint64_t begin, std::uint64_t) {
                           const Piece& piece = pieces[static_cast<std::size_t>(begin)];
                           at_tensor(*piece.tensor, [&] { file.source.read_at(piece.at, piece.to); });
                         },
                     .arrived = {}});
  file.source.seek(data_begin + header.data_bytes());
  std::vector<Value::Entry> entries;
  entries.reserve(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const ArrayHeader form = array_header(header, *wanted[i]);
    const ArrayView view(form.dtype, buffers[i]->data(), form.shape, form.order);
    if (has_booleans(form.dtype) && !booleans_are_valid(form.dtype, view.data, form.shape.count())) {
      fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1",
           {.path = safetensors_path(wanted[i]->name)});
    }
    entries.push_back(entry_of(header, *wanted[i], AnyArray(view, std::move(buffers[i]))));
  }
  return entries;
}

/// Reads arrays as they come, and what follows them: the end, where a checksum may be compared.
std::vector<Value::Entry> read_in_order(const Neighbour& file, const SafetensorsHeader& header,
                                        const std::vector<const Tensor*>& wanted) {
  std::vector<Value::Entry> entries;
  std::vector<std::byte> skipped;
  std::uint64_t at = 0;
  const auto skip_to = [&](std::uint64_t place) {
    while (at < place) {
      skipped.resize(static_cast<std::size_t>(std::min<std::uint64_t>(place - at, header_piece)));
      read_exactly(file.source, skipped);
      at += skipped.size();
    }
  };
  for (const Tensor* const tensor : wanted) {
    at_tensor(*tensor, [&] {
      skip_to(tensor->begin);
      const ArrayHeader form = array_header(header, *tensor);
      check_allocation(file, form);
      entries.push_back(entry_of(header, *tensor, read_elements(file.source, form)));
    });
    at = tensor->end;
  }
  skip_to(header.data_bytes());
  std::byte rest{};
  if (read_up_to(file.source, {&rest, 1}) != 0) {
    fail(Errc::malformed, "it goes on after its arrays");
  }
  return entries;
}

std::vector<Value::Entry> map_arrays(const Neighbour& file, std::uint64_t data_begin, const SafetensorsHeader& header,
                                     const std::vector<const Tensor*>& wanted) {
  std::vector<Value::Entry> entries;
  entries.reserve(wanted.size());
  for (const Tensor* const tensor : wanted) {
    at_tensor(*tensor, [&] {
      AnyArray array = array_at(file, data_begin + tensor->begin, array_header(header, *tensor));
      entries.push_back(entry_of(header, *tensor, std::move(array)));
    });
  }
  return entries;
}

}  // namespace

bool may_be_safetensors(Bytes first) noexcept {
  if (first.size() <= safetensors_length_bytes || first[safetensors_length_bytes] != std::byte{'{'}) {
    return false;
  }
  const auto length = load_le<std::uint64_t>(first.data());
  return length >= shortest_header && length <= longest_safetensors_header;
}

SafetensorsFile read_safetensors_file(const Neighbour& file, const std::function<bool(const std::string&)>& wanted) {
  const std::string text = file.mapping == nullptr ? read_header(file.source) : std::string();
  const std::string_view header_text = file.mapping == nullptr ? text : mapped_header(file.mapping->bytes());
  SafetensorsHeader header = parse_safetensors_header(header_text);
  const std::uint64_t data_begin = safetensors_length_bytes + header_text.size();
  std::vector<const Tensor*> tensors;
  for (const Tensor& tensor : header.tensors) {
    if (wanted(tensor.name)) {
      tensors.push_back(&tensor);
    }
  }
  SafetensorsFile out{{}, std::move(header.metadata)};
  if (file.mapping != nullptr) {
    check_file_size(file.mapping->bytes().size(), data_begin, header.data_bytes());
    out.tensors = map_arrays(file, data_begin, header, tensors);
  } else if (file.source.random_access()) {
    check_file_size(file.source.size().value(), data_begin, header.data_bytes());
    out.tensors = read_at_places(file, data_begin, header, tensors);
  } else {
    out.tensors = read_in_order(file, header, tensors);
  }
  return out;
}

Tensors read_safetensors(const Neighbour& file) {
  SafetensorsFile content = read_safetensors_file(file, [](const std::string&) { return true; });
  return {Value::make_map(std::move(content.tensors)), std::move(content.metadata)};
}

}  // namespace stele
