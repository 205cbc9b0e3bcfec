// dump(), load() and what belongs to whole archives.

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "archive/formats.hpp"
#include "archive/linked/source.hpp"
#include "archive/sharded/opened.hpp"
#include "bindings.hpp"
#include "format/frozen.hpp"
#include "objects/whole.hpp"
#include "options.hpp"
#include "stele/archive.hpp"
#include "stele/codec.hpp"
#include "stele/hash.hpp"
#include "stele/interop.hpp"
#include "storage.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

/// Errors of `work` name the file.
template <class F>
void naming_file(const std::string& path, F&& work) {
  try {
    work();
  } catch (const Error& error) {
    throw error.at({.file = path});
  }
}

void dump(nb::handle object, nb::handle file, nb::handle progress, const nb::dict& options) {
  SaveOptions given = save_options(options);
  const GraphOut graph(object);
  std::string path;
  if (path_of(file, path)) {
    const bool is_archive = given.formats->named(path).empty();
    if (is_archive && !progress.is_none()) {
      if (given.codec.empty()) {
        const Codecs codecs;
        const Codec* const codec = codecs.by_extension(path);
        given.codec = codec != nullptr ? codec->name() : "plain";
      }
      Watch watch(progress);
      WatchedSink sink(without_gil([&] { return file_sink(Path(path), given.sync, given.in_place); }), watch);
      Writer out(sink, given);
      naming_file(path, [&] {
        out.write(graph);
        out.close();
        const nb::gil_scoped_release released;
        sink.close();
      });
      watch.finish();
      return;
    }
    std::optional<Writer> out;
    {
      const nb::gil_scoped_release released;  // opening a FIFO waits for whoever reads it, maybe another thread
      out.emplace(Path(path), given);
    }
    out->write(graph);
    const nb::gil_scoped_release released;
    out->close();
    return;
  }
  FileSink sink(file);
  Writer out(sink, given);
  out.write(graph);
  out.close();
  sink.close();
}

nb::object dumps(nb::handle object, const nb::dict& options) {
  BytesSink sink;
  save(sink, GraphOut(object), save_options(options));
  return sink.take();
}

/// Reads what a Reader, made by `open`, has next.
template <class F>
nb::object read_with(F&& open, const LoadOptions& options, const Trust& trust) {
  return read_object(
      trust, [&](GraphIn& graph) { open()->read_into(graph); },
      [&] {
        std::unique_ptr<Reader> in;
        {
          const nb::gil_scoped_acquire gil;
          in = open();
        }
        return in->read<Value>();
      },
      options);
}

/// For a Source that calls Python in any thread: nobody waits for one with the GIL held.
nb::object read_released(const std::function<std::unique_ptr<Reader>()>& open, const LoadOptions& options,
                         const Trust& trust) {
  return object_of(without_gil([&] { return open()->read<Value>(); }), trust, options);
}

nb::object load(nb::handle file, nb::handle resolve, bool inert, nb::handle progress, const nb::dict& options) {
  const LoadOptions given = load_options(options);
  const Trust trust{nb::borrow(resolve), inert};
  std::string path;
  if (path_of(file, path)) {
    if (read_by_python(path)) {
      return read_released([&] { return std::make_unique<Reader>(Path(path), given); }, given, trust);
    }
    if (!progress.is_none() && given.map == MapMode::none) {
      Watch watch(progress);
      std::unique_ptr<Source> source;
      nb::object made = read_with(
          [&] {
            if (shards::open_if_sharded(Path(path), given) != nullptr) {  // several files are read then
              return std::make_unique<Reader>(Path(path), given);
            }
            std::unique_ptr<Source> file = file_source(Path(path));
            std::array<std::byte, frozen::link_label.size()> first{};
            if (file->random_access() && file->size().value_or(0) >= first.size()) {
              file->read_at(0, first);
            }
            if (is_linked(first)) {  // here too
              return std::make_unique<Reader>(Path(path), given);
            }
            source = std::make_unique<WatchedSource>(std::move(file), watch);
            return std::make_unique<Reader>(*source, given);
          },
          given, trust);
      watch.finish();
      return made;
    }
    return read_with([&] { return without_gil([&] { return std::make_unique<Reader>(Path(path), given); }); }, given,
                     trust);
  }
  if (given.map != MapMode::none) {  // of an open file by its name, as NumPy does
    if (!nb::hasattr(file, "name") || !path_of(file.attr("name"), path) || !nb::hasattr(file, "tell")) {
      raise(PyExc_ValueError, "mmap_mode needs a path, or a file that has a name");
    }
    LoadOptions there = given;
    there.offset += nb::cast<std::uint64_t>(file.attr("tell")());
    return read_with([&] { return std::make_unique<Reader>(Path(path), there); }, there, trust);
  }
  FileSource source(file);
  nb::object made;
  if (source.random_access()) {
    const nb::object position = file.attr("tell")();
    bool again = false;
    made = read_with(
        [&] {
          if (std::exchange(again, true)) {
            file.attr("seek")(position);
            source.seek(0);
          }
          return std::make_unique<Reader>(source, given);
        },
        given, trust);
    source.settle();
    return made;
  }
  return read_released([&] { return std::make_unique<Reader>(source, given); }, given, trust);
}

nb::object loads(nb::handle data, nb::handle resolve, bool inert, const nb::dict& options) {
  const LoadOptions given = load_options(options);
  const Trust trust{nb::borrow(resolve), inert};
  Py_buffer view;
  check(PyObject_GetBuffer(data.ptr(), &view, PyBUF_SIMPLE));
  const auto release = [](Py_buffer* held) { PyBuffer_Release(held); };
  const std::unique_ptr<Py_buffer, decltype(release)> held(&view, release);
  const Bytes bytes{static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len)};
  return read_with([&] { return std::make_unique<Reader>(bytes, given); }, given, trust);
}

std::string digest(nb::handle object) { return hash(GraphOut(object, true)).text(); }

nb::list references(nb::handle file, const nb::dict& options) {
  const Path path = path_from(file);
  const LoadOptions given = load_options(options);
  const References found = without_gil([&] { return references_in(path, given); });
  nb::list made;
  for (const Reference& one : found.found) {
    made.append(nb::make_tuple(text(one.name), text(to_string(one.risk)), one.count));
  }
  if (found.error) {
    throw *found.error;
  }
  return made;
}

}  // namespace

void bind_archive(nb::module_& module) {
  const nb::call_guard<Interruptible> interruptible;
  module.def("dump", &dump, nb::arg("value").none(), nb::arg("file"), nb::arg("progress").none(), nb::arg("options"),
             interruptible);
  module.def("dumps", &dumps, nb::arg("value").none(), nb::arg("options"), interruptible);
  module.def("load", &load, nb::arg("file"), nb::arg("resolve"), nb::arg("inert"), nb::arg("progress").none(),
             nb::arg("options"), interruptible);
  module.def("loads", &loads, interruptible);
  module.def("hash", [](nb::handle object) { return text(digest(object)); }, nb::arg("value").none());
  module.def("references", &references, interruptible);
}

}  // namespace stele::python
