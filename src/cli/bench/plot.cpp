#include "cli/bench/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

#include "cli/format.hpp"

namespace stele::cli {
namespace {

constexpr double picture_width = 1180;
constexpr double picture_height = 600;
constexpr double plot_top = 108;
constexpr double plot_height = 410;
constexpr double plot_width = 420;
constexpr double legend_left = 1010;
constexpr double least_radius = 4;
constexpr double most_radius = 20;
constexpr double label_size = 12;
constexpr std::array<const char*, 9> colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c564b",
                                                "#e0a000", "#56b4e9", "#6a3d9a", "#4d4d4d"};
constexpr const char* plain_colour = "#999999";

struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
  bool meets(const Box& other) const noexcept {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

std::string number(double value, int digits = 1) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

/// Without trailing zeros.
std::string short_number(double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  }
  return out;
}

double text_width(std::string_view text, double size) { return 0.56 * size * static_cast<double>(text.size()); }

std::string text_at(double x, double y, std::string_view text, double size, std::string_view more = {}) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" font-size=\"" + short_number(size) + "\" " +
         std::string(more) + ">" + xml(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, std::string_view stroke) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
         "\" stroke=\"" + std::string(stroke) + "\"/>\n";
}

/// A marker with the area of a circle of this radius. The first form is filled, the second an outline.
std::string mark(std::size_t form, double x, double y, double radius, std::string_view colour) {
  const std::string paint = " fill=\"" + std::string(form == 1 ? "none" : colour) +
                            "\" fill-opacity=\"0.45\" stroke=\"" + std::string(colour) + "\" stroke-width=\"1.6\"/>\n";
  if (form < 2) {
    return "<circle cx=\"" + number(x) + "\" cy=\"" + number(y) + "\" r=\"" + number(radius) + "\"" + paint;
  }
  const double side = radius * (form == 2 ? 0.886 : 1.253);  // half of the square's side or diagonal
  const double d = form == 2 ? side : 0;
  const double r = form == 2 ? 0 : side;
  std::string corners;
  for (const auto& [dx, dy] : form == 2
                                  ? std::array<std::pair<double, double>, 4>{{{-d, -d}, {d, -d}, {d, d}, {-d, d}}}
                                  : std::array<std::pair<double, double>, 4>{{{0, -r}, {r, 0}, {0, r}, {-r, 0}}}) {
    corners += number(x + dx) + "," + number(y + dy) + " ";
  }
  return "<polygon points=\"" + corners + "\"" + paint;
}

/// Ticks at powers of ten; closer ones if few of these are visible.
std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  const double decades = std::log10(high / low);
  const std::vector<double> steps = decades > 2.2   ? std::vector{1.0}
                                    : decades > 0.9 ? std::vector{1.0, 2.0, 5.0}
                                                    : std::vector{1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0};
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10) {
    for (const double step : steps) {
      if (power * step >= low * 0.999 && power * step <= high * 1.001) {
        ticks.push_back(power * step);
      }
    }
  }
  return ticks;
}

std::vector<double> linear_ticks(double low, double high) {
  const double raw = (high - low) / 6;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double step = power * (raw <= power ? 1 : raw <= 2 * power ? 2 : raw <= 5 * power ? 5 : 10);
  std::vector<double> ticks;
  for (double tick = std::ceil(low / step) * step; tick <= high + step / 1000; tick += step) {
    ticks.push_back(std::abs(tick) < step / 1000 ? 0 : tick);
  }
  return ticks;
}

/// Shared by both halves of the picture: colours, markers and the scale for memory.
class Style {
 public:
  explicit Style(const std::vector<BenchPoint>& points) {
    for (const BenchPoint& point : points) {
      add(codecs_, point.candidate.codec);
      add(filters_, point.candidate.filter);
      most_memory_ = std::max({most_memory_, point.save_memory, point.load_memory});
    }
    const auto place = [](const std::string& filter) {
      return std::pair(filter == "auto" ? 0 : filter == "none" ? 1 : 2, filter);
    };
    std::sort(filters_.begin(), filters_.end(),
              [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  }
  const std::vector<std::string>& codecs() const noexcept { return codecs_; }
  const std::vector<std::string>& filters() const noexcept { return filters_; }
  std::int64_t most_memory() const noexcept { return most_memory_; }
  std::string_view colour(const std::string& codec) const {
    const auto at =
        std::find(codecs_.begin(), codecs_.end(), codec) - codecs_.begin() -
        static_cast<std::ptrdiff_t>(std::count(codecs_.begin(), codecs_.begin() + index(codecs_, codec), "plain"));
    return codec == "plain" ? plain_colour : colours[static_cast<std::size_t>(at) % colours.size()];
  }
  /// Filled for "auto", an outline for "none", other markers for other filters.
  std::size_t form(const std::string& filter) const {
    if (filter == "auto" || filter == "none") {
      return filter == "auto" ? 0 : 1;
    }
    const auto own = std::count_if(filters_.begin(), filters_.begin() + index(filters_, filter),
                                   [](const std::string& f) { return f != "auto" && f != "none"; });
    return 2 + static_cast<std::size_t>(own) % 2;
  }
  double radius(std::int64_t memory) const noexcept {
    return memory <= 0 ? least_radius
                       : std::max(least_radius, most_radius * std::sqrt(static_cast<double>(memory) /
                                                                        static_cast<double>(std::max<std::int64_t>(
                                                                            most_memory_, std::int64_t{4} << 20))));
  }

 private:
  static void add(std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  static std::ptrdiff_t index(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  }

  std::vector<std::string> codecs_;
  std::vector<std::string> filters_;
  std::int64_t most_memory_ = -1;
};

/// A point in one half of the picture.
struct Placed {
  const BenchPoint* point;
  double x;
  double y;
  double radius;
  bool front;
};

class Panel {
 public:
  Panel(double left, std::string title, const std::vector<BenchPoint>& points, const Style& style, bool saving)
      : left_(left), title_(std::move(title)), style_(style) {
    for (const BenchPoint& point : points) {
      const double speed = (saving ? point.save_speed : point.load_speed) / 1e6;
      low_speed_ = std::min(low_speed_, speed);
      high_speed_ = std::max(high_speed_, speed);
      low_ratio_ = std::min(low_ratio_, point.ratio);
      high_ratio_ = std::max(high_ratio_, point.ratio);
    }
    const double spread = std::max(high_speed_ / low_speed_, 2.0);
    low_speed_ /= std::pow(spread, 0.08);
    high_speed_ *= std::pow(spread, 0.08);
    const double height = std::max(high_ratio_ - low_ratio_, 0.05 * high_ratio_);
    low_ratio_ -= 0.08 * height;
    high_ratio_ += 0.1 * height;
    for (const BenchPoint& point : points) {
      placed_.push_back({&point, x((saving ? point.save_speed : point.load_speed) / 1e6), y(point.ratio),
                         style.radius(saving ? point.save_memory : point.load_memory),
                         saving ? point.save_front : point.load_front});
    }
    // Draw small markers over large ones.
    std::sort(placed_.begin(), placed_.end(), [](const Placed& a, const Placed& b) { return a.radius > b.radius; });
  }

  std::string svg() const { return axes() + front() + marks() + labels(); }

 private:
  double x(double speed) const noexcept {
    return left_ + plot_width * std::log(speed / low_speed_) / std::log(high_speed_ / low_speed_);
  }
  double y(double ratio) const noexcept {
    return plot_top + plot_height * (high_ratio_ - ratio) / (high_ratio_ - low_ratio_);
  }

  std::string axes() const {
    const double bottom = plot_top + plot_height;
    std::string out = text_at(left_, plot_top - 14, title_, 15, "font-weight=\"bold\"");
    for (const double tick : log_ticks(low_speed_, high_speed_)) {
      out += line(x(tick), plot_top, x(tick), bottom, "#e4e4e4");
      out += text_at(x(tick), bottom + 18, short_number(tick), label_size, "text-anchor=\"middle\"");
    }
    for (const double tick : linear_ticks(low_ratio_, high_ratio_)) {
      out += line(left_, y(tick), left_ + plot_width, y(tick), "#e4e4e4");
      out += text_at(left_ - 8, y(tick) + 4, short_number(tick), label_size, "text-anchor=\"end\"");
    }
    out += "<rect x=\"" + number(left_) + "\" y=\"" + number(plot_top) + "\" width=\"" + number(plot_width) +
           "\" height=\"" + number(plot_height) + "\" fill=\"none\" stroke=\"#888888\"/>\n";
    out += text_at(left_ + plot_width / 2, bottom + 42, "MB/s of plain bytes, logarithmic; right is faster", 13,
                   "text-anchor=\"middle\"");
    const double middle = plot_top + plot_height / 2;
    out +=
        text_at(left_ - 44, middle, "plain size / stored size; up is smaller", 13,
                "text-anchor=\"middle\" transform=\"rotate(-90 " + number(left_ - 44) + " " + number(middle) + ")\"");
    return out;
  }

  std::string front() const {
    std::vector<const Placed*> points;
    for (const Placed& placed : placed_) {
      if (placed.front) {
        points.push_back(&placed);
      }
    }
    std::sort(points.begin(), points.end(), [](const Placed* a, const Placed* b) { return a->x < b->x; });
    std::string path;
    for (const Placed* point : points) {
      path += number(point->x) + "," + number(point->y) + " ";
    }
    return "<polyline points=\"" + path + "\" fill=\"none\" stroke=\"#333333\" stroke-width=\"1.3\" " +
           "stroke-dasharray=\"5 3\"/>\n";
  }

  std::string marks() const {
    std::string out;
    for (const Placed& placed : placed_) {
      const Candidate& candidate = placed.point->candidate;
      out += mark(style_.form(candidate.filter), placed.x, placed.y, placed.radius, style_.colour(candidate.codec));
    }
    return out;
  }

  /// Labels the points of the front where there is room, best ratio first.
  std::string labels() const {
    std::vector<const Placed*> points;
    for (const Placed& placed : placed_) {
      if (placed.front) {
        points.push_back(&placed);
      }
    }
    std::sort(points.begin(), points.end(), [](const Placed* a, const Placed* b) { return a->y < b->y; });
    std::vector<Box> taken;
    std::vector<std::string> named;  // another filter of the same candidate needs no label
    std::string out;
    for (const Placed* point : points) {
      const std::string name = candidate_name(point->point->candidate);
      if (std::find(named.begin(), named.end(), name) != named.end()) {
        continue;
      }
      named.push_back(name);
      if (const auto box = room_for(*point, name, taken)) {
        taken.push_back(*box);
        out += text_at(box->left, box->bottom - 4, name, label_size,
                       "paint-order=\"stroke\" stroke=\"white\" stroke-width=\"3\" stroke-linejoin=\"round\"");
      }
    }
    return out;
  }

  /// A place for a label near its marker: on no other label, and on as few markers as possible.
  std::optional<Box> room_for(const Placed& point, const std::string& name, const std::vector<Box>& taken) const {
    const double width = text_width(name, label_size);
    const double height = label_size + 4;
    std::optional<Box> best;
    std::size_t best_covered = 0;
    for (const double distance : {3.0, 14.0, 28.0}) {
      const double gap = point.radius + distance;
      const double slant = 0.7 * gap;
      for (const auto& [left, top] :
           std::array<std::pair<double, double>, 8>{{{point.x + gap, point.y - height / 2},
                                                     {point.x + slant, point.y - slant - height},
                                                     {point.x - width / 2, point.y - gap - height},
                                                     {point.x + slant, point.y + slant},
                                                     {point.x - width / 2, point.y + gap},
                                                     {point.x - gap - width, point.y - height / 2},
                                                     {point.x - slant - width, point.y - slant - height},
                                                     {point.x - slant - width, point.y + slant}}}) {
        const Box box{left, top, left + width, top + height};
        if (box.left < left_ + 2 || box.right > left_ + plot_width - 2 || box.top < plot_top + 2 ||
            box.bottom > plot_top + plot_height - 2 ||
            std::any_of(taken.begin(), taken.end(), [&](const Box& other) { return other.meets(box); })) {
          continue;
        }
        const std::size_t covered =
            static_cast<std::size_t>(std::count_if(placed_.begin(), placed_.end(), [&](const Placed& p) {
              return box.meets({p.x - p.radius, p.y - p.radius, p.x + p.radius, p.y + p.radius});
            }));
        if (!best || covered < best_covered) {
          best = box;
          best_covered = covered;
        }
      }
      if (best && best_covered == 0) {
        break;
      }
    }
    return best;
  }

  const double left_;
  const std::string title_;
  const Style& style_;
  double low_speed_ = 1e300;
  double high_speed_ = 1e-300;
  double low_ratio_ = 1e300;
  double high_ratio_ = 0;
  std::vector<Placed> placed_;
};

std::string legend(const Style& style) {
  constexpr double step = 21;
  double y = plot_top + 6;
  std::string out;
  const auto heading = [&](std::string_view text) {
    out += text_at(legend_left, y, text, 13, "font-weight=\"bold\"");
    y += step;
  };
  const auto entry = [&](const std::string& symbol, std::string_view text) {
    out += symbol + text_at(legend_left + 46, y + 4, text, 13);
    y += step;
  };
  heading("Codec");
  for (const std::string& codec : style.codecs()) {
    entry(mark(0, legend_left + 20, y, 7, style.colour(codec)), codec);
  }
  y += 12;
  heading("Filter");
  for (const std::string& filter : style.filters()) {
    entry(mark(style.form(filter), legend_left + 20, y, 7, "#555555"), filter);
  }
  entry("<line x1=\"" + number(legend_left + 4) + "\" y1=\"" + number(y) + "\" x2=\"" + number(legend_left + 36) +
            "\" y2=\"" + number(y) + "\" stroke=\"#333333\" stroke-width=\"1.3\" stroke-dasharray=\"5 3\"/>\n",
        "Pareto front");
  if (style.most_memory() < 0) {
    return out;
  }
  y += 12;
  heading("Peak memory");
  out += text_at(legend_left, y - 3, "above the object", label_size);
  y += step;
  std::int64_t largest = std::int64_t{1} << 20;
  while (largest * 2 <= style.most_memory()) {
    largest *= 2;
  }
  std::vector<std::int64_t> sizes = {largest, largest / 4, largest / 16};
  sizes.erase(
      std::remove_if(sizes.begin(), sizes.end(), [&](std::int64_t size) { return size < (std::int64_t{1} << 18); }),
      sizes.end());
  for (const std::int64_t size : sizes) {
    const double radius = style.radius(size);
    y += std::max(0.0, radius - step / 2);
    out += mark(0, legend_left + 20, y, radius, "#555555");
    out += text_at(legend_left + 46, y + 4, size_text(static_cast<std::uint64_t>(size)), 13);
    y += std::max(step, radius + step / 2 + 2);
  }
  return out;
}

}  // namespace

std::string candidate_name(const Candidate& candidate) {
  return candidate.codec + (candidate.level ? " " + std::to_string(*candidate.level) : "");
}

std::string bench_svg(const std::string& title, const std::string& subtitle, const std::vector<BenchPoint>& points) {
  const Style style(points);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + short_number(picture_width) + " " +
                    short_number(picture_height) + "\" width=\"" + short_number(picture_width) + "\" height=\"" +
                    short_number(picture_height) +
                    "\" font-family=\"DejaVu Sans, Verdana, Helvetica, sans-serif\" fill=\"#222222\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  out += text_at(24, 36, title, 20, "font-weight=\"bold\"");
  out += text_at(24, 62, subtitle, 13, "fill=\"#555555\"");
  if (!points.empty()) {
    out += Panel(70, "Saving", points, style, true).svg();
    out += Panel(560, "Loading", points, style, false).svg();
    out += legend(style);
  }
  return out + "</svg>\n";
}

}  // namespace stele::cli
