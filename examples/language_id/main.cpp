// Language identification: trains a table of words for each language, saves them, maps the file and classifies
// sentences.
//
//   language_id WORDS SENTENCES
//
// WORDS has a file <language>.txt of lines "word<TAB>count" for each language, SENTENCES one of sentences, one a line:
// bench/counts/wordlists.py makes both. Without arguments, three languages made up of a few sentences are learnt.

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>

#include "classifier.hpp"
#include "stele/archive.hpp"

namespace {

using language_id::Classifier;
using language_id::Language;
namespace fs = std::filesystem;

constexpr const char* model_path = "languages.stele";

/// The files <language>.txt of a folder by language.
std::map<std::string, fs::path> text_files(const fs::path& folder) {
  std::map<std::string, fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") {
      files[entry.path().stem().string()] = entry.path();
    }
  }
  return files;
}

Language learn(const std::string& name, const fs::path& path) {
  Language language{name, stele::TokenCounts()};
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) {
      throw std::runtime_error(path.string() + ": a line without a tab");
    }
    const std::uint64_t count = std::stoull(line.substr(tab + 1));
    language_id::for_each_word(std::string_view(line).substr(0, tab),
                               [&](std::string_view word) { language.words.add(word, count); });
  }
  language.words.compact();
  return language;
}

void report(const Classifier& classifier, std::size_t sentences, std::size_t right, double seconds) {
  std::uint64_t tokens = 0;
  std::uint64_t bytes = 0;
  std::uint64_t characters = 0;
  for (const Language& language : classifier.languages) {
    tokens += language.words.size();
    bytes += language.words.byte_count();
    language.words.for_each([&](std::string_view word, std::uint64_t) { characters += word.size(); });
  }
  std::printf("%zu languages, %llu words of %.1f bytes on average: %.1f bytes a word in memory, %.1f in the file\n",
              classifier.languages.size(), static_cast<unsigned long long>(tokens),
              static_cast<double>(characters) / static_cast<double>(tokens),
              static_cast<double>(bytes) / static_cast<double>(tokens),
              static_cast<double>(fs::file_size(model_path)) / static_cast<double>(tokens));
  std::printf("%zu of %zu sentences right (%.1f %%), %.1f us for a sentence\n", right, sentences,
              100.0 * static_cast<double>(right) / static_cast<double>(sentences),
              1e6 * seconds / static_cast<double>(sentences));
}

int run(const fs::path& words, const fs::path& test_sentences) {
  Classifier trained;
  for (const auto& [name, path] : text_files(words)) {
    trained.languages.push_back(learn(name, path));
  }
  stele::save(trained, model_path);

  // The pages of the file are the tables: a page is read when it is first used.
  const auto classifier = stele::load<Classifier>(model_path, {.map = stele::MapMode::read_only});
  std::size_t sentences = 0;
  std::size_t right = 0;
  double seconds = 0;
  for (const auto& [name, path] : text_files(test_sentences)) {
    std::vector<std::string> lines;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      lines.push_back(line);
    }
    std::map<std::string, std::size_t> answers;
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string& line : lines) {
      ++answers[std::string(classifier.classify(line))];
    }
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    sentences += lines.size();
    right += answers[name];
    std::printf(
        "%-4s %4zu sentences, %5.1f %% right", name.c_str(), lines.size(),
        100.0 * static_cast<double>(answers[name]) / static_cast<double>(std::max<std::size_t>(lines.size(), 1)));
    for (const auto& [answer, times] : answers) {
      if (answer != name && 50 * times >= lines.size()) {
        std::printf(", %zu as %s", times, answer.empty() ? "none" : answer.c_str());
      }
    }
    std::printf("\n");
  }
  if (sentences == 0) {
    throw std::runtime_error("no sentences in " + test_sentences.string());
  }
  report(classifier, sentences, right, seconds);
  return 10 * right >= 9 * sentences ? 0 : 1;
}

/// Learns and classifies a few sentences; a wrong result is an error.
int run_small() {
  const std::map<std::string, std::string> lessons = {
      {"de", "der Hund und die Katze sind im Haus, und das Wasser ist kalt; über dem Haus ist der Himmel grau"},
      {"en", "the dog and the cat are in the house, and the water is cold; above the house the sky is grey"},
      {"ja", "犬と猫は家にいて、水は冷たい。家の上の空は灰色です"},
  };
  fs::create_directories("words");
  fs::create_directories("sentences");
  for (const auto& [name, lesson] : lessons) {
    std::map<std::string, int> counts;
    language_id::for_each_word(lesson, [&](std::string_view word) { ++counts[std::string(word)]; });
    std::ofstream words(fs::path("words") / (name + ".txt"));
    for (const auto& [word, count] : counts) {
      words << word << '\t' << count << '\n';
    }
  }
  std::ofstream("sentences/de.txt") << "Die Katze ist kalt.\nDAS HAUS IST GRAU UND ÜBER DEM WASSER\n";
  std::ofstream("sentences/en.txt") << "The cat is cold.\nThe sky and the water are grey!\n";
  std::ofstream("sentences/ja.txt") << "猫は冷たいです。\n空の色\n";
  if (run("words", "sentences") != 0) {
    return 1;
  }
  auto classifier = stele::load<Classifier>(model_path, {.map = stele::MapMode::read_only});
  if (classifier.classify("xyzzy") != "" || classifier.classify("das Haus") != "de") {
    return 1;
  }
  // A mapped table is trained further: the lanes that change are copied, the file stays as it is.
  classifier.languages[1].words.add("das", 1000);
  classifier.languages[1].words.add("haus", 1000);
  const auto kept = stele::load<Classifier>(model_path, {.map = stele::MapMode::read_only});
  return classifier.classify("das Haus") == "en" && kept.classify("das Haus") == "de" ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 1 && argc != 3) {
      std::cerr << "usage: language_id [WORDS SENTENCES]\n";
      return 2;
    }
    return argc == 1 ? run_small() : run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "language_id: " << error.what() << '\n';
    return 1;
  }
}
