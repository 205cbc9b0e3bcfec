#include "interop/pickle/read/calls.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "format/text/utf8.hpp"
#include "interop/pickle/numpy/numpy.hpp"
#include "interop/pickle/read/tensor.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

struct KnownName {
  std::string_view name;
  Known known;
};
constexpr auto known_names = std::to_array<KnownName>({
    {"_codecs.encode", Known::encode},
    {"builtins.bytearray", Known::byte_array},
    {"builtins.bytes", Known::bytes},
    {"builtins.complex", Known::complex},
    {"builtins.frozenset", Known::frozen_set},
    {"builtins.set", Known::set},
    {"copyreg.__newobj__", Known::new_object},
    {"copyreg.__newobj_ex__", Known::new_object_ex},
    {"copyreg._reconstructor", Known::reconstructor},
    {"joblib.numpy_pickle.NDArrayWrapper", Known::file_wrapper},
    {"joblib.numpy_pickle.NumpyArrayWrapper", Known::array_wrapper},
    {"joblib.numpy_pickle.ZNDArrayWrapper", Known::zfile_wrapper},
    {"joblib.numpy_pickle_compat.NDArrayWrapper", Known::file_wrapper},
    {"joblib.numpy_pickle_compat.ZNDArrayWrapper", Known::zfile_wrapper},
    {"numpy._core.multiarray._reconstruct", Known::reconstruct},
    {"numpy._core.multiarray.scalar", Known::scalar},
    {"numpy._core.numeric._frombuffer", Known::from_buffer},
    {"numpy.core.memmap.memmap", Known::ndarray},
    {"numpy.core.multiarray._reconstruct", Known::reconstruct},
    {"numpy.core.multiarray.scalar", Known::scalar},
    {"numpy.core.numeric._frombuffer", Known::from_buffer},
    {"numpy.dtype", Known::dtype},
    {"numpy.ma.core._mareconstruct", Known::reconstruct_masked},
    {"numpy.memmap", Known::ndarray},
    {"numpy.ndarray", Known::ndarray},
    {"sklearn.externals.joblib.numpy_pickle.NDArrayWrapper", Known::file_wrapper},
    {"sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper", Known::array_wrapper},
    {"sklearn.externals.joblib.numpy_pickle.ZNDArrayWrapper", Known::zfile_wrapper},
    {"torch.Size", Known::tensor_size},
    {"torch._utils._rebuild_parameter", Known::parameter},
    {"torch._utils._rebuild_tensor", Known::tensor},
    {"torch._utils._rebuild_tensor_v2", Known::tensor_v2},
    {"torch._utils._rebuild_tensor_v3", Known::tensor_v3},
    {"torch.storage._load_from_bytes", Known::torch_file},
});
static_assert(std::ranges::is_sorted(known_names, {}, &KnownName::name));

Known known_of(std::string_view name) noexcept {
  const auto* const found = std::ranges::lower_bound(known_names, name, {}, &KnownName::name);
  return found != known_names.end() && found->name == name ? found->known : Known::no;
}

Value byte_array(std::string_view text) {
  auto node = new_node<Data>();
  node->buffer = Buffer::allocate(text.size());
  if (!text.empty()) {
    std::memcpy(node->buffer->mutable_data(), text.data(), text.size());
  }
  return ValueAccess::make(part::byte_array, std::move(node));
}

/// The characters of a text as one byte each, as Latin-1 has them.
std::optional<std::string> latin1(const Value& text) {
  if (!text.is_text()) {
    return std::nullopt;
  }
  const std::string_view from = string_of(text);
  std::string bytes;
  bytes.reserve(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto byte = static_cast<unsigned char>(from[i]);
    if (byte >= 0x80) {
      if (byte > 0xc3) {
        return std::nullopt;
      }
      byte = static_cast<unsigned char>((byte & 3U) << 6 | (static_cast<unsigned char>(from[++i]) & 0x3fU));
    }
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

bool is_latin1(const Value& name) {
  std::string text(is_string(name) ? string_of(name) : std::string_view());
  std::erase_if(text, [](char c) { return c == '-' || c == '_'; });
  return text == "latin1" || text == "iso88591";
}

std::optional<double> real(const Value& value) {
  if (value.is(ValueKind::real) && value.number().type == Number::Type::float64) {
    return std::bit_cast<double>(value.number().bits);
  }
  return std::nullopt;
}

}  // namespace

Value new_global(std::string_view module, std::string_view name) {
  if (module.empty() || name.empty() || !is_utf8(module) || !is_utf8(name)) {
    fail(Errc::malformed, "the name of a class or function is empty, or no UTF-8");
  }
  auto node = std::make_shared<Global>();
  // Names of Python 2, as Python 3 reads them.
  node->name = module == "__builtin__" ? "builtins" : module == "copy_reg" ? "copyreg" : module;
  node->name += name.find('.') == std::string_view::npos ? '.' : ':';
  node->name += name;
  node->known = known_of(node->name);
  return ValueAccess::make(part::global, std::move(node));
}

std::optional<Value> plain_call(Known callable, std::span<const Value> args, Marks& marks) {
  if (callable == Known::byte_array || callable == Known::encode) {
    marks.budget().charge(!args.empty() && is_string(args[0]) ? string_of(args[0]).size() : 0);
  }
  switch (callable) {
    case Known::set:
    case Known::frozen_set: {
      std::vector<Value> items;
      if (args.size() > 1 || (args.size() == 1 && !is_container(args[0].kind()))) {
        return std::nullopt;
      }
      if (args.size() == 1) {
        marks.budget().charge_items(items_of(args[0]).size());
        items = items_of(args[0]);
        std::for_each(items.begin(), items.end(), [&](const Value& item) { marks.mark(item); });
      }
      return new_items(callable == Known::set ? part::set : part::frozen_set, std::move(items));
    }
    case Known::bytes:
      return args.empty() ? std::optional(new_text(ValueKind::bytes, "")) : std::nullopt;
    case Known::byte_array:
      if (args.empty()) {
        return byte_array("");
      }
      if (args.size() == 1 && (args[0].is(ValueKind::bytes) || args[0].is(part::data))) {
        return byte_array(string_of(args[0]));
      }
      if (const auto bytes = args.size() == 2 && is_latin1(args[1]) ? latin1(args[0]) : std::nullopt) {
        return byte_array(*bytes);
      }
      return std::nullopt;
    case Known::encode: {
      const auto bytes = args.size() == 2 && is_latin1(args[1]) ? latin1(args[0]) : std::nullopt;
      return bytes ? std::optional(new_text(ValueKind::bytes, *bytes)) : std::nullopt;
    }
    case Known::complex: {
      const auto a = args.size() == 2 ? real(args[0]) : std::nullopt;
      const auto b = args.size() == 2 ? real(args[1]) : std::nullopt;
      if (!a || !b) {
        return std::nullopt;
      }
      const double parts[2] = {*a, *b};
      return AnyArray::copy_of(ArrayView(DType::Kind::complex128, parts, Shape(), Order::row_major));
    }
    case Known::scalar:
      return scalar(args, marks.budget());
    case Known::from_buffer:
      return from_buffer(args, marks.budget());
    case Known::tensor:
    case Known::tensor_v2:
    case Known::tensor_v3:
      return tensor(callable, args, marks.budget());
    case Known::parameter:
      return parameter(args);
    case Known::tensor_size:
      return tensor_size(args, marks);
    default:
      return std::nullopt;
  }
}

}  // namespace stele::pickle
