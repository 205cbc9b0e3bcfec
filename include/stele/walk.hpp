#pragma once
// How values become events and events become values: write() and read(). walk/family.hpp chooses the way for each
// type; the other pages in walk/ have one family of types each.
//
// A type is walked, in this order of preference, by a specialisation of Visit<T> (for types of other libraries), by its
// own `static void visit(auto& v, auto& self)`, as one of the standard types, or as an aggregate whose fields are found
// by reflection.

#include "stele/walk/family.hpp"
#include "stele/walk/scalars.hpp"
// the families use one another
#include "stele/walk/adaptors.hpp"
#include "stele/walk/arrays.hpp"
#include "stele/walk/calendar.hpp"
#include "stele/walk/containers.hpp"
#include "stele/walk/keyed.hpp"
#include "stele/walk/pointers.hpp"
#include "stele/walk/records.hpp"
#include "stele/walk/refused.hpp"
#include "stele/walk/values.hpp"
