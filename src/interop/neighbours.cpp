// Implements stele/interop.hpp: the table of formats.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>
#include <string_view>

#include "archive/formats.hpp"
#include "archive/read/opened.hpp"
#include "archive/value/later.hpp"
#include "codec/builtin.hpp"
#include "interop/hdf5/hdf5.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/references.hpp"
#include "interop/pickle/write/pickle_writer.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "interop/torch/torch.hpp"
#include "interop/zip/contents.hpp"
#include "io/read.hpp"
#include "io/wrap/forwarding.hpp"
#include "io/wrap/prefix.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "stele/interop.hpp"

namespace stele {
namespace {

constexpr std::string_view npy = "npy";
constexpr std::string_view npz = "npz";
constexpr std::string_view safetensors = "safetensors";
constexpr std::string_view safetensors_index = "safetensors index";
constexpr std::string_view pickle = "pickle";
constexpr std::string_view joblib = "joblib";
constexpr std::string_view torch = "torch";
constexpr std::string_view hdf5 = "hdf5";

struct Extension {
  std::string_view text;
  std::string_view format;
};
constexpr std::array<Extension, 11> extensions{{
    {".npy", npy},
    {".npz", npz},
    {".safetensors", safetensors},
    {".safetensors.index.json", safetensors_index},
    {".pkl", pickle},
    {".pickle", pickle},
    {".joblib", joblib},
    {".pt", torch},
    {".pth", torch},
    {".h5", hdf5},
    {".hdf5", hdf5},
}};

bool begins_with(Bytes bytes, std::string_view magic) noexcept {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

/// The format that the last extension of a path names.
std::string_view by_extension(std::string_view path) noexcept {
  for (const Extension& extension : extensions) {
    const std::string_view end = path.substr(path.size() - std::min(path.size(), extension.text.size()));
    if (std::equal(end.begin(), end.end(), extension.text.begin(), extension.text.end(),
                   [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; })) {
      return extension.format;
    }
  }
  return {};
}

class Neighbours final : public Formats {
 public:
  std::string_view recognise(Bytes first, std::string_view path) const noexcept override {
    if (first.size() >= 4 && may_be_label(first.first(std::min(first.size(), frozen::label.size())))) {
      return {};
    }
    if (begins_with(first, "\x93NUMPY")) {
      return npy;
    }
    if (begins_with(first, "PK\x03\x04") || begins_with(first, "PK\x05\x06")) {
      return npz;
    }
    if (begins_with(first, hdf5_magic)) {
      return hdf5;
    }
    if (may_be_old_torch(first)) {
      return torch;
    }
    if (begins_with(first, "\x80") || begins_with(first, "ZF")) {
      return may_be_pickle(first) ? pickle : std::string_view();
    }
    if (may_be_safetensors(first)) {
      return safetensors;
    }
    const std::string_view format = named(path);  // the first protocols of pickles have no magic number
    return format == joblib ? pickle : format == hdf5 ? std::string_view() : format;
  }

  Foreign read(std::string_view format, const Neighbour& file) const override {
    Foreign foreign{std::string(format), {}, {}};
    if (format == npy) {
      foreign.value = read_npy(file);
    } else if (format == npz) {
      const ZipContents contents(file);
      const ZipMember* const pickled = torch_pickle(contents);
      foreign.format = pickled != nullptr ? torch : npz;
      foreign.value = pickled != nullptr ? read_torch(contents, *pickled) : read_npz(contents);
    } else if (format == torch) {
      foreign.value = read_old_torch(file);
    } else if (format == hdf5) {
      Hdf5Content content = read_hdf5(file);
      foreign.value = std::move(content.value);
      foreign.metadata = std::move(content.metadata);
    } else if (format == safetensors || format == safetensors_index) {
      Tensors tensors =
          format == safetensors ? read_safetensors(file) : read_safetensors_index(file.path, file.options);
      foreign.value = std::move(tensors.value);
      foreign.metadata = std::move(tensors.metadata);
    } else {
      foreign.value = read_pickle(file);
    }
    return foreign;
  }

  std::string_view named(std::string_view path) const noexcept override {
    const std::string_view format = by_extension(path);
    const std::size_t dot = path.rfind('.');
    return format.empty() && dot != std::string_view::npos ? by_extension(path.substr(0, dot)) : format;
  }

  /// joblib reads files of one member only.
  const Codec& codec(std::string_view format, const Codec& chosen) const noexcept override {
    return format == joblib && chosen.name() == gzip_->name() ? *gzip_ : chosen;
  }

  void write(std::string_view format, Sink& to, const Value& value, const SaveOptions& options) const override {
    if (format == npy) {
      if (!inside(value).is_array()) {
        fail(Errc::unsupported, "a .npy file holds one array, not a " + std::string(to_string(inside(value).kind())));
      }
      LaterArray* const later = later_array(inside(value));
      later != nullptr ? write_npy(to, *later) : write_npy(to, inside(value).array());
    } else if (format == npz) {
      write_npz(to, value, {.level = options.level, .threads = options.threads});
    } else if (format == safetensors) {
      write_safetensors(to, value, options.metadata);
    } else if (format == safetensors_index) {
      fail(Errc::unsupported, "an index of .safetensors files is only read; write one .safetensors file");
    } else if (format == hdf5) {
      fail(Errc::unsupported, "HDF5 files are only read");
    } else if (format == torch) {
      fail(Errc::unsupported, "files of torch.save() are only read; write a .safetensors file");
    } else {
      write_pickle(to, value, {.joblib = format == joblib});
    }
  }

 private:
  const std::shared_ptr<const Codec> gzip_ = gzip_member_codec();

  static const Value& inside(const Value& value) { return value.is(ValueKind::shared) ? value.content() : value; }
};

}  // namespace

const Formats& neighbours() noexcept {
  static const Neighbours all;
  return all;
}

References references_in(const Path& path, const LoadOptions& options) {
  LoadOptions any = options;
  any.formats = &neighbours();
  const Opened opened = open_path(path, any, Loading::parts);
  std::vector<std::byte> first(Formats::first_bytes);
  Source& source = *opened.source;
  if (source.random_access()) {
    first.resize(static_cast<std::size_t>(std::min<std::uint64_t>(first.size(), *source.size())));
    source.read_at(0, first);
  } else {
    first.resize(read_up_to(source, first));
  }
  const std::string_view format = neighbours().recognise(first, path.text());
  const bool in_order = !source.random_access();
  PrefixSource whole(in_order ? std::move(first) : std::vector<std::byte>(), std::make_unique<BorrowedSource>(source));
  const Neighbour file{in_order ? static_cast<Source&>(whole) : source, nullptr, path.text(), any};
  if (format == pickle) {
    return pickle_references(file);
  }
  if (format == torch) {
    return pickle_references(file, old_torch_pickles);
  }
  if (format == npz) {
    const ZipContents contents(file);
    if (const ZipMember* const pickled = torch_pickle(contents)) {
      const std::unique_ptr<Source> member = contents.zip().open(*pickled);
      return pickle_references({*member, nullptr, {}, any});
    }
  }
  return {references_of(load<Value>(path, any)), std::nullopt};
}

}  // namespace stele
