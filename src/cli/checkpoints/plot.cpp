#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cli/checkpoints/checkpoints.hpp"
#include "cli/print/format.hpp"

namespace stele::cli {
namespace {

constexpr int width = 480;  // of a panel's lines; labels are to the right
constexpr int height = 160;
constexpr int row = 16;
constexpr const char* colours[] = {"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888"};

std::string number(double value) { return short_number(value, 4); }

std::string escaped(std::string_view text) {
  std::string made;
  for (const char c : printable(text)) {
    made += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return made;
}

std::string text_at(int x, int y, const std::string& text, const char* colour = "black") {
  return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" fill=\"" + colour + "\">" + text +
         "</text>\n";
}

/// A line in its own scale, without its gaps.
std::string line(const PlotLine& drawn, int top, std::uint64_t first, std::uint64_t last, int label,
                 const char* colour) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (const auto& [step, value] : drawn.points) {
    if (std::isfinite(value)) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  std::string path;
  std::string marks;
  bool gap = true;
  for (const auto& [step, value] : drawn.points) {
    if (std::isfinite(value)) {
      const double x =
          last == first ? width / 2.0 : static_cast<double>(step - first) / static_cast<double>(last - first) * width;
      const double y = most > least ? (most / 2 - value / 2) / (most / 2 - least / 2) : 0.5;
      const std::string px = number(20 + x);
      const std::string py = number(top + y * height);
      path += (gap ? "M" : "L") + px + " " + py;
      marks += "<circle cx=\"" + px + "\" cy=\"" + py + "\" r=\"2\" fill=\"" + colour + "\"/>\n";
    }
    gap = !std::isfinite(value);
  }
  const std::string range = marks.empty() ? "no values" : number(least) + " to " + number(most);
  return "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + colour + "\"/>\n" + marks +
         text_at(width + 36, top + label, escaped(drawn.name) + ": " + range, colour);
}

}  // namespace

std::string plot_svg(const std::vector<std::pair<std::string, std::vector<PlotLine>>>& panels) {
  std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t last = 0;
  for (const auto& [title, lines] : panels) {
    for (const PlotLine& drawn : lines) {
      for (const auto& [step, value] : drawn.points) {
        first = std::min(first, step);
        last = std::max(last, step);
      }
    }
  }
  std::string body;
  int top = 30;
  for (const auto& [title, lines] : panels) {
    body += text_at(20, top - 8, escaped(title)) + "<rect x=\"20\" y=\"" + std::to_string(top) + "\" width=\"" +
            std::to_string(width) + "\" height=\"" + std::to_string(height) + "\" fill=\"none\" stroke=\"#ccc\"/>\n";
    for (std::size_t i = 0; i < lines.size(); ++i) {
      body += line(lines[i], top, first, last, row * static_cast<int>(i + 1), colours[i % std::size(colours)]);
    }
    if (first <= last) {
      body += text_at(20, top + height + row, "step " + std::to_string(first)) +
              text_at(width - 40, top + height + row, std::to_string(last));
    }
    top += std::max(height, row * static_cast<int>(lines.size())) + 60;
  }
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(2 * width) + "\" height=\"" +
         std::to_string(top) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" +
         body + "</svg>\n";
}

}  // namespace stele::cli
