#pragma once
// The rooms of the store's binding: each defines its methods of the class.

#include "services/store/handle.hpp"
#include "watch.hpp"

namespace stele::python {

using StoreClass = nb::class_<StoreHandle>;

void bind_values(StoreClass& bound);
void bind_commit(nb::module_& module, StoreClass& bound);
void bind_cursor(nb::module_& module, StoreClass& bound);
void bind_data_set(nb::module_& module, StoreClass& bound);
void bind_care(StoreClass& bound);
void bind_exchange(StoreClass& bound);

}  // namespace stele::python
