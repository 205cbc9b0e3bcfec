#pragma once
// Owning pointers. unique_ptr is null or its object. shared_ptr and weak_ptr keep identity: an object is stored where
// it is first met, later pointers refer to it, cycles included. A pointer to a polymorphic base uses the registry.

#include "stele/walk.hpp"

namespace stele::walk {

/// Whether a pointer to T may lead to an object of a derived type.
template <class T>
inline constexpr bool is_base = std::is_polymorphic_v<T> && !std::is_final_v<T>;

template <class T>
const void* identity(const T* object) noexcept {
  if constexpr (std::is_polymorphic_v<T>) {
    return dynamic_cast<const void*>(object);
  } else {
    return object;
  }
}

/// The registered type under which the target of a pointer to T is written; null: as a T without a name.
template <class T>
const TypeRegistry::Type* written_type(const OutVisitor& out, const T& object) {
  const bool plain = typeid(object) == typeid(T) && (out.types() == nullptr || out.types()->find(typeid(T)) == nullptr);
  return plain ? nullptr : &registered(out.types(), typeid(object), typeid(T));
}

/// Whether a pointer leads to an object of a type that is not known: nothing says what to store.
template <class P>
concept LeadsToVoid = std::is_void_v<typename P::element_type>;
template <class T>
struct VoidTarget {
  static_assert(!LeadsToVoid<T>, "stele: a pointer to void does not tell the type of its object; use one that does");
  static void write(OutVisitor&, const T&) {}
  static void read(InVisitor&, T&) {}
};
template <LeadsToVoid T>
struct As<T, Family::unique_pointer> : VoidTarget<T> {};
template <LeadsToVoid T>
struct As<T, Family::shared_pointer> : VoidTarget<T> {};
template <LeadsToVoid T>
struct As<T, Family::weak_pointer> : VoidTarget<T> {};

/// Writes the target of a pointer to T, under its registered name if its dynamic type is not T.
template <class T>
void write_target(OutVisitor& out, const T& object) {
  if constexpr (is_base<T>) {
    if (const TypeRegistry::Type* type = written_type(out, object)) {
      out.begin_typed(type->name);
      type->write(out, identity(&object));
      return;
    }
  }
  if constexpr (!std::is_abstract_v<T>) {
    stele::write(out, object);
  }
}

template <class T>
struct As<T, Family::unique_pointer> {
  using Target = std::remove_const_t<typename T::element_type>;
  static_assert(
      requires(const T& p) { *p; },
      "stele: std::unique_ptr<T[]> does not know its length; use std::vector or stele::Array");

  static void write(OutVisitor& out, const T& value) {
    if (value == nullptr) {
      out.null();
      return;
    }
    constexpr bool wrapped = may_be_null<Target>;
    if constexpr (wrapped) {
      out.begin_sequence(1);
    }
    write_target<Target>(out, *value);
    if constexpr (wrapped) {
      out.end();
    }
  }

  static void read(InVisitor& in, T& value) {
    if (in.kind() == Kind::null) {
      in.null();
      value.reset();
      return;
    }
    if constexpr (is_base<Target>) {
      static_assert(std::has_virtual_destructor_v<Target>,
                    "stele: a std::unique_ptr to a base class needs a virtual destructor there");
      if (const auto name = in.begin_typed()) {
        const TypeRegistry::Type& type = registered(in, *name, typeid(Target));
        void* object = type.make();
        value.reset(static_cast<Target*>(cast_to_base(in.types(), object, *type.type, typeid(Target))));
        type.read(in, object);
        in.end_typed();
        return;
      }
    }
    if constexpr (std::is_abstract_v<Target>) {
      in.error(Errc::type_mismatch, "a value of an abstract class is stored without the name of its type");
    } else {
      std::unique_ptr<Target> object(make_new<Target>());
      if constexpr (may_be_null<Target>) {
        read_exactly(in, 1, [&](std::size_t) { stele::read(in, *object); });
      } else {
        stele::read(in, *object);
      }
      value.reset(object.release());
    }
  }
};

/// Writes the target of a shared pointer to T, wrapped in a sequence if the target may be null itself.
template <class T>
void write_shared_target(OutVisitor& out, const T& object) {
  if constexpr (may_be_null<T>) {
    out.begin_sequence(1);
  }
  write_target<T>(out, object);
  if constexpr (may_be_null<T>) {
    out.end();
  }
}

/// What a shared_ptr tells of its object, which is not null.
template <class T>
class SharedPointerOut final : public SharedOut {
 public:
  SharedPointerOut(const OutVisitor& out, const std::shared_ptr<T>& pointer)
      : SharedOut(identity(pointer.get()), typeid(*pointer)), out_(out), pointer_(pointer) {}
  std::size_t bytes() const override {
    if constexpr (is_base<T>) {
      if (type() != typeid(T)) {
        return registered(out_.types(), type()).size;
      }
    }
    return sizeof(T);
  }
  std::weak_ptr<const void> owner() const override { return pointer_; }
  std::string type_name() const override {
    if constexpr (is_base<T>) {
      const TypeRegistry::Type* type = written_type<std::remove_const_t<T>>(out_, *pointer_);
      return type == nullptr ? std::string() : type->name;
    } else {
      return {};
    }
  }
  Later later() const override {
    return {pointer_, [](OutVisitor& out, const void* object) {
              write_shared_target<std::remove_const_t<T>>(out, *static_cast<const T*>(object));
            }};
  }

 private:
  const OutVisitor& out_;
  const std::shared_ptr<T>& pointer_;
};

template <class T>
inline constexpr bool leads_to_array = false;
template <class T>
inline constexpr bool leads_to_array<std::shared_ptr<T[]>> = true;
template <class T, std::size_t N>
inline constexpr bool leads_to_array<std::shared_ptr<T[N]>> = true;
template <class T>
inline constexpr bool leads_to_array<std::weak_ptr<T[]>> = true;
template <class T, std::size_t N>
inline constexpr bool leads_to_array<std::weak_ptr<T[N]>> = true;

template <class T>
  requires leads_to_array<T>
struct As<T, Family::shared_pointer> {
  static_assert(!leads_to_array<T>, "stele: std::shared_ptr<T[]> does not know its length; use stele::Array");
  static void write(OutVisitor&, const T&) {}
  static void read(InVisitor&, T&) {}
};
template <class T>
  requires leads_to_array<T>
struct As<T, Family::weak_pointer> : As<T, Family::shared_pointer> {};

template <class T>
struct As<T, Family::shared_pointer> {
  using Target = std::remove_const_t<typename T::element_type>;

  static void write(OutVisitor& out, const T& value) {
    if (value == nullptr) {
      out.null();
      return;
    }
    if (out.begin_shared(SharedPointerOut<typename T::element_type>(out, value))) {
      write_shared_target<Target>(out, *value);
    }
  }

  static void read(InVisitor& in, T& value) {
    const SharedIn shared = in.begin_shared();
    switch (shared.state) {
      case SharedIn::State::deferred:
        value = read_later(in, shared);
        return;
      case SharedIn::State::reference: {
        const SharedObject known = in.shared(shared.index);
        if (known.pointer != nullptr) {
          value = cast(in, known);
          return;
        }
        in.enter_shared(shared.index);
        value = read_object(in, {SharedIn::State::first, shared.index});
        in.leave_shared();
        return;
      }
      default:
        if (shared.out_of_order) {
          if (const SharedObject known = in.shared(shared.index); known.pointer != nullptr) {
            in.skip();
            value = cast(in, known);
            return;
          }
        }
        value = read_object(in, shared);
    }
  }

 private:
  static std::shared_ptr<Target> cast(InVisitor& in, const SharedObject& known) {
    if (*known.type == typeid(Target)) {
      return std::static_pointer_cast<Target>(known.pointer);
    }
    if (void* base = cast_to_base(in.types(), known.pointer.get(), *known.type, typeid(Target))) {
      return std::shared_ptr<Target>(known.pointer, static_cast<Target*>(base));
    }
    in.error(Errc::type_mismatch, "a reference to a shared object of another type");
  }

  /// The object or null.
  static std::shared_ptr<Target> read_object(InVisitor& in, const SharedIn& shared) {
    if (in.kind() == Kind::null) {
      in.null();
      return nullptr;
    }
    const auto define = [&](const std::shared_ptr<void>& pointer, const std::type_info& type, void (*empty)(void*)) {
      if (shared.state == SharedIn::State::first) {
        in.define_shared(shared.index, {pointer, &type, empty});
      }
    };
    if constexpr (is_base<Target>) {
      if (const auto name = in.begin_typed()) {
        const TypeRegistry::Type& type = registered(in, *name, typeid(Target));
        const std::shared_ptr<void> object = type.make_shared();
        define(object, *type.type, type.empty);
        type.read(in, object.get());
        in.end_typed();
        return cast(in, {object, type.type});
      }
    }
    if constexpr (std::is_abstract_v<Target>) {
      without_name(in);
    } else {
      const std::shared_ptr<Target> object = walk::make_shared<Target>();
      define(object, typeid(Target), emptier<Target>());
      read_target(in, object.get());
      return object;
    }
  }

  /// The object, whose value is stored later.
  static std::shared_ptr<Target> read_later(InVisitor& in, const SharedIn& shared) {
    const SharedObject known = in.shared(shared.index);
    if (known.pointer != nullptr) {
      return cast(in, known);
    }
    if constexpr (is_base<Target>) {
      if (!shared.type.empty()) {
        const TypeRegistry::Type& type = registered(in, shared.type, typeid(Target));
        const std::shared_ptr<void> object = type.make_shared();
        in.define_shared(shared.index, {object, type.type, type.empty});
        in.defer(shared.index, {object, shared.type, type.read});
        return cast(in, {object, type.type});
      }
    }
    if constexpr (std::is_abstract_v<Target>) {
      without_name(in);
    } else {
      const std::shared_ptr<Target> object = walk::make_shared<Target>();
      in.define_shared(shared.index, {object, &typeid(Target), emptier<Target>()});
      in.defer(shared.index, {object, shared.type, read_target});
      return object;
    }
  }

  static void read_target(InVisitor& in, void* object) {
    auto& target = *static_cast<Target*>(object);
    if constexpr (may_be_null<Target>) {
      read_exactly(in, 1, [&](std::size_t) { stele::read(in, target); });
    } else {
      stele::read(in, target);
    }
  }
  [[noreturn]] static void without_name(InVisitor& in) {
    in.error(Errc::type_mismatch, "a value of an abstract class is stored without the name of its type");
  }
};

/// The object, if it still lives; on loading it lives on only if a shared_ptr in the graph holds it too.
template <class T>
struct As<T, Family::weak_pointer> {
  using Shared = std::shared_ptr<typename T::element_type>;
  static void write(OutVisitor& out, const T& value) { As<Shared, Family::shared_pointer>::write(out, value.lock()); }
  static void read(InVisitor& in, T& value) {
    Shared shared;
    As<Shared, Family::shared_pointer>::read(in, shared);
    value = shared;
  }
};

}  // namespace stele::walk
