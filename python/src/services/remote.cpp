// Options of remote storage.

#include <nanobind/stl/optional.h>

#include "bindings.hpp"
#include "objects/whole.hpp"
#include "stele/remote.hpp"

namespace stele::python {

void bind_remote(nb::module_& module) {
  module.def(
      "remote_options",
      [](std::optional<unsigned> attempts, std::optional<double> connect_s, std::optional<double> stall_s,
         std::optional<std::uint64_t> part_bytes, std::optional<unsigned> parts) {
        remote::Options options = remote::options();
        options.attempts = attempts.value_or(options.attempts);
        options.connect_s = connect_s.value_or(options.connect_s);
        options.stall_s = stall_s.value_or(options.stall_s);
        options.part_bytes = part_bytes.value_or(options.part_bytes);
        options.parts = parts.value_or(options.parts);
        remote::set_options(options);
        return fields_of(options);
      },
      nb::kw_only(), nb::arg("attempts") = nb::none(), nb::arg("connect_s") = nb::none(),
      nb::arg("stall_s") = nb::none(), nb::arg("part_bytes") = nb::none(), nb::arg("parts") = nb::none());
}

}  // namespace stele::python
