#pragma once
// The registry of polymorphic types. A pointer to a base class is stored with the name its dynamic type was registered
// under; nothing registers itself, and compiler-spelled names never reach the disk.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "stele/visitor.hpp"
#include "stele/walk/make.hpp"

namespace stele {

template <class T>
void write(OutVisitor& out, const T& value);
template <class T>
void read(InVisitor& in, T& value);

namespace walk {

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored \
    "-Wmultiple-move-vbase"  // assigning a virtual base twice from a new object is harmless
#endif

/// What SharedObject::empty is for T.
template <class T>
constexpr auto emptier() noexcept -> void (*)(void*) {
  if constexpr (std::is_move_assignable_v<T>) {
    return [](void* object) { *static_cast<T*>(object) = make<T>(); };
  } else {
    return nullptr;
  }
}

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

}  // namespace walk

/// Names of the concrete types that pointers to base classes may have. Passed in options; must outlive the call.
/// Building one is not thread-safe, using it is.
class TypeRegistry {
 public:
  /// One registered type; what the pointer templates need of it.
  struct Type {
    struct Base {
      const std::type_info* type;
      void* (*from_derived)(void* derived);
    };
    std::string name;
    const std::type_info* type = nullptr;
    std::size_t size = 0;  // of an object in bytes
    void (*write)(OutVisitor& out, const void* object) = nullptr;
    void (*read)(InVisitor& in, void* object) = nullptr;
    std::shared_ptr<void> (*make_shared)() = nullptr;
    void (*empty)(void* object) = nullptr;  // see SharedObject
    void* (*make)() = nullptr;
    void (*destroy)(void* object) = nullptr;
    std::vector<Base> bases;  // itself first

    bool has_base(const std::type_info& base) const noexcept;
  };

  /// Registers `Derived` under `name`, to be found through pointers to itself and to `Bases`.
  /// Throws: Error(invalid_argument) for a name or a type registered already.
  template <class Derived, class... Bases>
  TypeRegistry& add(std::string name) {
    static_assert((std::is_base_of_v<Bases, Derived> && ...), "stele: a registered base is not a base of the type");
    Type type;
    type.name = std::move(name);
    type.type = &typeid(Derived);
    type.size = sizeof(Derived);
    type.write = [](OutVisitor& out, const void* object) { stele::write(out, *static_cast<const Derived*>(object)); };
    type.read = [](InVisitor& in, void* object) { stele::read(in, *static_cast<Derived*>(object)); };
    type.make_shared = []() -> std::shared_ptr<void> { return walk::make_shared<Derived>(); };
    type.empty = walk::emptier<Derived>();
    type.make = []() -> void* { return walk::make_new<Derived>(); };
    type.destroy = [](void* object) { delete static_cast<Derived*>(object); };
    type.bases.push_back({&typeid(Derived), [](void* derived) { return derived; }});
    (type.bases.push_back(
         {&typeid(Bases), [](void* derived) -> void* { return static_cast<Bases*>(static_cast<Derived*>(derived)); }}),
     ...);
    insert(std::move(type));
    return *this;
  }

  /// The type of that name, or null.
  const Type* find(std::string_view name) const noexcept;
  /// The registered type that is exactly `type`, or null.
  const Type* find(const std::type_info& type) const noexcept;

 private:
  void insert(Type type);
  std::vector<std::shared_ptr<const Type>> types_;  // addresses stay
};

/// The address of `object`, whose dynamic type is `type`, as a pointer to `base`. Null where `base` is not the type
/// itself or one of its registered bases.
void* cast_to_base(const TypeRegistry* types, void* object, const std::type_info& type,
                   const std::type_info& base) noexcept;
/// The type to write an object of dynamic type `type` with.
/// Throws: Error(unknown_type).
const TypeRegistry::Type& registered(const TypeRegistry* types, const std::type_info& type);
/// The same, for the object of a pointer to `base`, which must be among the type's bases.
const TypeRegistry::Type& registered(const TypeRegistry* types, const std::type_info& type, const std::type_info& base);
/// The type stored under `name`, which must have `base` among its bases. Throws through `in`: Error(unknown_type).
const TypeRegistry::Type& registered(InVisitor& in, std::string_view name, const std::type_info& base);

}  // namespace stele
