#include "format/path/tracer.hpp"

#include <algorithm>
#include <bit>

#include "base/stack.hpp"
#include "format/path/path.hpp"

namespace stele {

PathTracer::PathTracer(const OutVisitor& other) {
  canonical_ = other.canonical();
  types_ = other.types();
}

std::string PathTracer::path() const {
  std::string text;
  for (const Frame& frame : frames_) {
    const bool innermost = &frame == &frames_.back();
    const bool next = innermost && !continued_;  // the current item is complete
    const std::uint64_t place = next ? frame.index : frame.index - 1;
    if (place >= frame.count) {
      break;  // after the last item
    }
    switch (frame.form) {
      case Form::sequence:
        append_step(text, std::to_string(place));
        break;
      case Form::map:
        if (next && place % 2 == 0) {
          return text;  // the key is not known
        }
        text += text.empty() ? frame.key : '/' + frame.key;
        break;
      case Form::record:
        append_step(text, frame.names[static_cast<std::size_t>(place)]);
    }
  }
  return text;
}

void PathTracer::item() {
  if (continued_) {
    continued_ = false;
  } else if (!frames_.empty()) {
    ++frames_.back().index;
  }
  if (Frame* const frame = at_key()) {
    frame->key.clear();
    append_place(frame->key, frame->index / 2);
  }
}

void PathTracer::begin_continued() {
  item();
  continued_ = true;
}

PathTracer::Frame* PathTracer::at_key() noexcept {
  const bool key = !frames_.empty() && frames_.back().form == Form::map && frames_.back().index % 2 == 1;
  return key ? &frames_.back() : nullptr;
}

void PathTracer::number(const Number& number) {
  item();
  if (Frame* const frame = at_key(); frame != nullptr && is_step(number)) {
    frame->key.clear();
    append_step(frame->key, number_text(number));
  }
}

void PathTracer::integer(std::int64_t value) {
  if (value >= 0) {
    number({Number::Type::natural, static_cast<std::uint64_t>(value)});
  } else {
    number({Number::Type::negative, ~static_cast<std::uint64_t>(value)});
  }
}

void PathTracer::real(float value) { number({Number::Type::float32, std::bit_cast<std::uint32_t>(value)}); }
void PathTracer::real(double value) { number({Number::Type::float64, std::bit_cast<std::uint64_t>(value)}); }

void PathTracer::text(std::string_view value) {
  item();
  if (Frame* const frame = at_key()) {
    frame->key.clear();
    append_step(frame->key, value);
  }
}

PathTracer::Frame& PathTracer::push(Form form, std::uint64_t count) {
  item();
  if (frames_.size() == most_depth || stack_is_low()) {
    throw TooDeep{};
  }
  Frame& frame = frames_.emplace_back();
  frame.form = form;
  frame.count = count;
  return frame;
}

void PathTracer::begin_record(const RecordInfo& info) {
  Frame& frame = push(Form::record, info.names.size());
  frame.names.assign(info.names.begin(), info.names.end());
}

void PathTracer::end() { frames_.pop_back(); }

bool PathTracer::begin_shared(const SharedOut& object) {
  item();
  auto& known = shared_[object.object()];
  if (std::any_of(known.begin(), known.end(), [&](const std::type_info* other) { return *other == object.type(); })) {
    return false;
  }
  known.push_back(&object.type());
  kept_.push_back(object.owner().lock());
  continued_ = true;
  return true;
}

}  // namespace stele
