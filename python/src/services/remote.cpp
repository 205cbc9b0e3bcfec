// Options of remote storage.

#include <nanobind/stl/optional.h>

#include "services/services.hpp"
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
        nb::dict now;
        now["attempts"] = options.attempts;
        now["connect_s"] = options.connect_s;
        now["stall_s"] = options.stall_s;
        now["part_bytes"] = options.part_bytes;
        now["parts"] = options.parts;
        return now;
      },
      nb::kw_only(), nb::arg("attempts") = nb::none(), nb::arg("connect_s") = nb::none(),
      nb::arg("stall_s") = nb::none(), nb::arg("part_bytes") = nb::none(), nb::arg("parts") = nb::none());
}

}  // namespace stele::python
