#include <string>

#include "archive/append/appended_file.hpp"
#include "archive/append/archive_stream.hpp"
#include "base/naming.hpp"
#include "stele/appender.hpp"

namespace stele {

AppendedFile recover_appended(const Path& path, bool cut, const LoadOptions& options) {
  const std::string& name = path.text();
  return naming(name, [&] {
    AppendedLock file(name, cut ? AppendedAccess::write : AppendedAccess::read);
    FileCodec codec(options.codecs);
    GrowingSource source(file.fd(), name);
    source.set_size(source.file_size());
    if (!recognise_file(source, codec)) {
      codec.choose({}, name);
    }
    const Extent extent = find_extent(source, codec, {}, ExtentCheck::ends, options);
    AppendedFile found{.codec = std::string(codec.name()), .bytes = extent.end.offset};
    source.set_size(extent.end.offset);
    ArchiveStream stream(source, codec, 0, options);
    std::uint64_t at = 0;
    try {
      while (stream.inside() || stream.offset() < extent.end.offset) {
        at = stream.offset();
        stream.begin().skip();
        stream.end();
        if (!stream.appended() || stream.appended()->entry != found.entries) {
          fail(Errc::damaged, "an archive that is not the entry of that number");
        }
        ++found.entries;
      }
    } catch (const Error& error) {
      if (error.code() == Errc::io) {
        throw;
      }
      fail(error.code() == Errc::truncated ? Errc::damaged : error.code(), "entry " + std::to_string(found.entries) +
                                                                               ", at byte " + std::to_string(at) +
                                                                               " of the file: " + error.message());
    }
    if (extent.damage) {
      refuse_damage(extent);
    }
    found.torn_bytes = extent.size - extent.end.offset;
    if (cut && found.torn_bytes > 0) {
      cut_file(file.fd(), extent.end.offset, name);
    }
    return found;
  });
}

}  // namespace stele
