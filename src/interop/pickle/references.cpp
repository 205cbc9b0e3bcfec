#include "interop/pickle/references.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "interop/pickle/joblib/legacy.hpp"
#include "interop/pickle/read/machine.hpp"

namespace stele {
namespace {

using Risk = Reference::Risk;

// --- The tables ------------------------------------------------------------------------------------------------------
// A name ends with a dot where it stands for all that lies below it: a module or package.

/// What can run commands or code, or reach files, the network or the interpreter. The lists of known attacks that
/// scanners of pickles publish are the source.
constexpr auto dangerous_names = std::to_array<std::string_view>({
    "__main__.__builtins__",
    "_aix_support.",
    "_io.",
    "_osx_support.",
    "_pickle.",
    "_posixsubprocess.",
    "_pyrepl.",
    "_sitebuiltins.",
    "_socket.",
    "_thread.",
    "_winapi.",
    "aiohttp.",
    "asyncio.",
    "bdb.",
    "builtins.__import__",
    "builtins.apply",
    "builtins.breakpoint",
    "builtins.compile",
    "builtins.delattr",
    "builtins.dir",
    "builtins.eval",
    "builtins.exec",
    "builtins.execfile",
    "builtins.exit",
    "builtins.file",
    "builtins.getattr",
    "builtins.globals",
    "builtins.help",
    "builtins.input",
    "builtins.locals",
    "builtins.memoryview",
    "builtins.open",
    "builtins.quit",
    "builtins.raw_input",
    "builtins.reload",
    "builtins.setattr",
    "builtins.vars",
    "bz2.open",
    "cProfile.",
    "cloudpickle.cloudpickle._make_function",
    "cloudpickle.cloudpickle._make_skeleton_class",
    "code.",
    "codecs.open",
    "codeop.",
    "commands.",
    "concurrent.",
    "ctypes.",
    "cffi.",
    "dbm.",
    "dill.",
    "distutils.",
    "doctest.",
    "ensurepip.",
    "faulthandler.",
    "fcntl.",
    "fileinput.",
    "ftplib.",
    "functools.partial",
    "functools.partialmethod",
    "functools.reduce",
    "functools.singledispatch",
    "gc.",
    "glob.",
    "gzip.open",
    "http.",
    "httplib.",
    "httpx.",
    "idlelib.",
    "imaplib.",
    "imp.",
    "importlib.",
    "inspect.",
    "io.",
    "joblib.numpy_pickle.load",
    "joblib.load",
    "lib2to3.",
    "linecache.",
    "logging.config.",
    "lzma.open",
    "mailbox.",
    "mailcap.",
    "marshal.",
    "mmap.",
    "modulefinder.",
    "msvcrt.",
    "multiprocessing.",
    "nntplib.",
    "nt.",
    "numpy.core.memmap",
    "numpy.distutils.",
    "numpy.f2py.",
    "numpy.fromfile",
    "numpy.load",
    "numpy.loadtxt",
    "numpy.lib.npyio.",
    "numpy.lib._npyio_impl.",
    "numpy.memmap",
    "numpy.savetxt",
    "numpy.save",
    "numpy.testing.",
    "operator.attrgetter",
    "operator.itemgetter",
    "operator.methodcaller",
    "_operator.attrgetter",
    "_operator.itemgetter",
    "_operator.methodcaller",
    "os.",
    "pandas.eval",
    "pandas.io.",
    "pandas.read_pickle",
    "pathlib.",
    "pdb.",
    "pickle.",
    "pickletools.",
    "pip.",
    "pkgutil.",
    "platform.",
    "poplib.",
    "posix.",
    "posixpath.",
    "ntpath.",
    "profile.",
    "psutil.",
    "pty.",
    "py_compile.",
    "pydoc.",
    "readline.",
    "requests.",
    "resource.",
    "rlcompleter.",
    "runpy.",
    "sched.",
    "select.",
    "selectors.",
    "setuptools.",
    "shelve.",
    "shutil.",
    "signal.",
    "site.",
    "smtpd.",
    "smtplib.",
    "socket.",
    "socketserver.",
    "sqlite3.",
    "ssl.",
    "subprocess.",
    "sys.",
    "sysconfig.",
    "tarfile.",
    "telnetlib.",
    "tempfile.",
    "test.support.",
    "threading.",
    "timeit.",
    "tkinter.",
    "torch._dynamo.",
    "torch._inductor.",
    "torch.distributed.",
    "torch.fx.",
    "torch.hub.",
    "torch.jit.",
    "torch.load",
    "torch.ops.",
    "torch.package.",
    "torch.serialization.load",
    "torch.storage._load_from_bytes",
    "torch.utils._config_module.",
    "torch.utils.bottleneck.",
    "torch.utils.cpp_extension.",
    "torch.utils.model_zoo.",
    "torch.utils.data.datapipes.",
    "trace.",
    "tracemalloc.",
    "types.CodeType",
    "types.FunctionType",
    "types.MethodType",
    "types.ModuleType",
    "urllib.",
    "urllib2.",
    "uuid._get_command_stdout",
    "venv.",
    "webbrowser.",
    "winreg.",
    "xmlrpc.",
    "zipapp.",
    "zipfile.",
    "zipimport.",
});

/// Parts of a name through which any object leads to the interpreter.
constexpr auto dangerous_parts = std::to_array<std::string_view>({
    "__builtins__",
    "__class__",
    "__code__",
    "__dict__",
    "__getattribute__",
    "__globals__",
    "__import__",
    "__loader__",
    "__spec__",
    "__subclasses__",
    "eval",
    "exec",
    "os",
    "popen",
    "posix",
    "subprocess",
    "sys",
    "system",
});

/// What only makes data.
constexpr auto data_names = std::to_array<std::string_view>({
    "_codecs.encode",
    "array._array_reconstructor",
    "array.array",
    "builtins.bool",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.frozenset",
    "builtins.int",
    "builtins.list",
    "builtins.long",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "builtins.unicode",
    "builtins.xrange",
    "builtins.NoneType",
    "builtins.type",
    "builtins.Ellipsis",
    "builtins.NotImplemented",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.deque",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "joblib.numpy_pickle.NDArrayWrapper",
    "joblib.numpy_pickle.NumpyArrayWrapper",
    "joblib.numpy_pickle.ZNDArrayWrapper",
    "joblib.numpy_pickle_compat.NDArrayWrapper",
    "joblib.numpy_pickle_compat.ZNDArrayWrapper",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
    "numpy.bool",
    "numpy.bool_",
    "numpy.bytes_",
    "numpy.complex128",
    "numpy.complex64",
    "numpy.core.memmap.memmap",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.datetime64",
    "numpy.dtype",
    "numpy.float16",
    "numpy.float32",
    "numpy.float64",
    "numpy.int16",
    "numpy.int32",
    "numpy.int64",
    "numpy.int8",
    "numpy.longdouble",
    "numpy.ma.core.MaskedArray",
    "numpy.ma.core._mareconstruct",
    "numpy.matrix",
    "numpy.matrixlib.defmatrix.matrix",
    "numpy.ndarray",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.rec.recarray",
    "numpy.record",
    "numpy.recarray",
    "numpy.str_",
    "numpy.timedelta64",
    "numpy.uint16",
    "numpy.uint32",
    "numpy.uint64",
    "numpy.uint8",
    "numpy.void",
    "sklearn.externals.joblib.numpy_pickle.NDArrayWrapper",
    "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper",
    "sklearn.externals.joblib.numpy_pickle.ZNDArrayWrapper",
    "torch.BFloat16Storage",
    "torch.BoolStorage",
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.ComplexDoubleStorage",
    "torch.ComplexFloatStorage",
    "torch.DoubleStorage",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.QInt32Storage",
    "torch.QInt8Storage",
    "torch.QUInt2x4Storage",
    "torch.QUInt4x2Storage",
    "torch.QUInt8Storage",
    "torch.ShortStorage",
    "torch.Size",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.bfloat16",
    "torch.bool",
    "torch.complex128",
    "torch.complex64",
    "torch.device",
    "torch.float16",
    "torch.float32",
    "torch.float64",
    "torch.float8_e4m3fn",
    "torch.float8_e5m2",
    "torch.int16",
    "torch.int32",
    "torch.int64",
    "torch.int8",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_tensor_affine",
    "torch.qint32",
    "torch.qint8",
    "torch.quint8",
    "torch.sparse_coo",
    "torch.storage.UntypedStorage",
    "torch.storage._UntypedStorage",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
    "torch.uint8",
    "uuid.UUID",
});

// ---------------------------------------------------------------------------------------------------------------------

template <class Table>
bool has(const Table& table, std::string_view name) {
  return std::ranges::find(table, name) != table.end();
}

/// By the most dangerous, then by name.
std::vector<Reference> sorted(std::unordered_map<std::string, Reference> all) {
  std::vector<Reference> references;
  references.reserve(all.size());
  for (auto& [name, reference] : all) {
    references.push_back(std::move(reference));
  }
  std::ranges::sort(references, [](const Reference& a, const Reference& b) {
    return a.risk != b.risk ? a.risk > b.risk : a.name < b.name;
  });
  return references;
}

class Collector final : public pickle::Listener {
 public:
  void refer(std::string_view name, std::uint64_t offset) override {
    auto [at, is_new] = references_.try_emplace(std::string(name));
    if (is_new) {
      at->second = {at->first, risk_of(name), offset, 0};
    }
    ++at->second.count;
  }
  std::vector<Reference> take() { return sorted(std::move(references_)); }

 private:
  std::unordered_map<std::string, Reference> references_;
};

/// The name that a typed value refers to; empty where it is none.
std::string_view referred(const Value& value) {
  const std::string_view type = value.type_name();
  if (!type.starts_with("py:")) {
    return {};
  }
  const std::string_view name = type.substr(3);
  if (name == "global") {
    return value.content().is_text() ? std::string_view(value.content().text()) : std::string_view();
  }
  // Those of the contract that are not classes have no dot, or other contents than the record of an object. One that
  // stands alone in an archive is a map.
  const Value& content = value.content();
  const bool is_object =
      (content.is_record() || content.is_map()) && name.find_first_of(".:") != std::string_view::npos;
  return is_object && name != "numpy.object_array" ? name : std::string_view();
}

}  // namespace

std::string_view to_string(Reference::Risk risk) noexcept {
  static constexpr std::array<std::string_view, 3> names = {"data", "code", "dangerous"};
  return names[static_cast<std::size_t>(risk)];
}

Reference::Risk risk_of(std::string_view name) {
  std::string dotted(name);
  std::ranges::replace(dotted, ':', '.');
  if (has(data_names, dotted)) {
    return Risk::data;
  }
  if (has(dangerous_names, dotted)) {
    return Risk::dangerous;
  }
  std::size_t start = 0;
  for (std::size_t dot = dotted.find('.'); dot != std::string::npos; dot = dotted.find('.', dot + 1)) {
    const std::string_view above(dotted.data(), dot);
    if (has(dangerous_names, std::string_view(dotted.data(), dot + 1)) || has(dangerous_names, above) ||
        has(dangerous_parts, above.substr(start))) {
      return Risk::dangerous;
    }
    start = dot + 1;
  }
  return has(dangerous_parts, std::string_view(dotted).substr(start)) ? Risk::dangerous : Risk::code;
}

References pickle_references(const Neighbour& file, std::size_t most) {
  Collector collector;
  References references;
  try {
    pickle::Window stored(file.source, file.options.limits.allocation);
    pickle::WindowSource stored_source(stored);
    const std::unique_ptr<Source> plain =
        pickle::is_zfile(stored.peek(4)) ? pickle::zfile_source(stored_source, file.options) : nullptr;
    Source& source = plain != nullptr ? *plain : stored_source;
    const Neighbour parts{source, nullptr, file.path, file.options};
    const PickleOptions options;
    std::optional<pickle::Window> inner;
    if (plain != nullptr) {
      inner.emplace(source, file.options.limits.allocation);
    }
    pickle::Window& window = inner ? *inner : stored;
    do {
      pickle::Machine machine({window, parts, options, &collector});
      static_cast<void>(machine.run());
    } while (--most > 0 && !window.at_end());
  } catch (const Error& error) {
    references.error = error;
  }
  references.found = collector.take();
  return references;
}

std::vector<Reference> references_of(const Value& value) {
  Collector collector;
  std::vector<const Value*> pending{&value};
  while (!pending.empty()) {
    const Value& next = *pending.back();
    pending.pop_back();
    switch (next.kind()) {
      case ValueKind::sequence:
      case ValueKind::record:
        for (const Value& item : next.items()) {
          pending.push_back(&item);
        }
        break;
      case ValueKind::map:
        for (const auto& [key, item] : next.entries()) {
          pending.push_back(&key);
          pending.push_back(&item);
        }
        break;
      case ValueKind::typed:
        if (const std::string_view name = referred(next); !name.empty()) {
          collector.refer(name, 0);
        } else if (next.type_name() == "py:extension" && next.content().is(ValueKind::integer)) {
          collector.refer("extension " + std::to_string(next.content().number().bits), 0);
        }
        pending.push_back(&next.content());
        break;
      case ValueKind::shared:
        pending.push_back(&next.content());
        break;
      default:
        break;
    }
  }
  return collector.take();
}

}  // namespace stele
