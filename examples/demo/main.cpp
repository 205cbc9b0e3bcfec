// stele at work: reads the 70,000 pictures of Fashion-MNIST, trains a small model, saves both plain and compressed, and
// lets a second process map them back and classify.
//
//   demo DATASET_FOLDER OUTPUT_FOLDER
//   demo --classify MODEL DATA

#include <unistd.h>

#include <sys/wait.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "idx.hpp"
#include "model.hpp"
#include "stele/eigen.hpp"
#include "stele/stele.hpp"
#include "table.hpp"
#include "train.hpp"

namespace demo {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

Data read_data(const std::string& folder) {
  const auto read_set = [&](const std::string& prefix) {
    return Set{read_idx<3>(folder + "/" + prefix + "-images-idx3-ubyte.gz"),
               read_idx<1>(folder + "/" + prefix + "-labels-idx1-ubyte.gz")};
  };
  return {"Fashion-MNIST", read_set("train"), read_set("t10k")};
}

Model train(const Data& data) {
  Model model;
  model.name = "PCA and softmax on " + data.name;
  model.labels = {"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"};

  const Stopwatch pca;
  model.pca = find_components(data.train.pictures, 50);
  const Eigen::MatrixXf projected = project(model.pca.mean, model.pca.components, data.train.pictures);
  std::printf("PCA: 784 pixels to %d components in %.1f s\n", static_cast<int>(projected.rows()), pca.seconds());

  const Stopwatch training;
  model.softmax = train_softmax(projected, data.train.labels, static_cast<int>(model.labels.size()), 10);
  const Eigen::MatrixXf test = project(model.pca.mean, model.pca.components, data.test.pictures);
  const auto test_accuracy = accuracy(model.softmax.weights, model.softmax.bias, test, data.test.labels);
  model.metrics["train accuracy"] = accuracy(model.softmax.weights, model.softmax.bias, projected, data.train.labels);
  model.metrics["test accuracy"] = test_accuracy;
  std::printf("softmax: 10 epochs in %.1f s, test accuracy %.2f %%\n", training.seconds(), 100 * test_accuracy);
  return model;
}

std::uint64_t bytes_of(const Data& data) {
  return data.train.pictures.size() + data.train.labels.size() + data.test.pictures.size() + data.test.labels.size();
}

std::uint64_t bytes_of(const Model& model) {
  return sizeof(float) *
         static_cast<std::uint64_t>(model.pca.mean.size() + model.pca.components.size() + model.pca.variances.size() +
                                    model.softmax.weights.size() + model.softmax.bias.size());
}

/// Rows of the table for an object: plain, which View can be mapped from, and compressed by what this build has.
template <class View, class T>
void add_files(std::vector<File>& files, const std::string& name, const T& object) {
  const stele::Codecs codecs;
  for (const auto& [extension, codec] :
       std::map<std::string, std::string>{{"", "plain"}, {".gz", "gzip"}, {".lz4", "lz4"}, {".zst", "zstd"}}) {
    if (!extension.empty() && codecs.find(codec) == nullptr) {
      continue;
    }
    File file{name + extension, bytes_of(object), {}, {}, {}};
    file.save = [&object](const std::string& path) { stele::save(object, path); };
    file.load = [](const std::string& path) { stele::load<T>(path); };
    if (extension.empty()) {
      file.map = [](const std::string& path) { stele::load<View>(path, {.map = stele::MapMode::read_only}); };
    }
    files.push_back(file);
  }
}

/// Maps a model and data that another process has saved, and classifies the test pictures.
int classify(const std::string& model_path, const std::string& data_path) {
  const Stopwatch mapping;
  const auto model = stele::load<ModelView>(model_path, {.map = stele::MapMode::read_only});
  const auto data = stele::load<Data>(data_path, {.map = stele::MapMode::read_only});
  const double mapped = mapping.seconds();

  const Stopwatch classifying;
  const Eigen::MatrixXf projected = project(stele::as_eigen<Eigen::VectorXf>(model.pca.mean),
                                            stele::as_eigen<Eigen::MatrixXf>(model.pca.components), data.test.pictures);
  const double found = accuracy(stele::as_eigen<Eigen::MatrixXf>(model.softmax.weights),
                                stele::as_eigen<Eigen::VectorXf>(model.softmax.bias), projected, data.test.labels);
  std::printf("process %d: mapped \"%s\" and %s in %.0f us, classified %llu pictures in %.2f s: accuracy %.2f %%\n",
              static_cast<int>(::getpid()), model.name.c_str(), data.name.c_str(), 1e6 * mapped,
              static_cast<unsigned long long>(data.test.labels.size()), classifying.seconds(), 100 * found);
  const double expected = model.metrics.at("test accuracy");
  if (found != expected) {
    std::printf("process %d: expected %.2f %%\n", static_cast<int>(::getpid()), 100 * expected);
    return 1;
  }
  return 0;
}

/// Runs this program again with --classify. Throws where that process fails.
void classify_in_another_process(const std::string& model_path, const std::string& data_path) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/proc/self/exe", "demo", "--classify", model_path.c_str(), data_path.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error("the second process failed");
  }
}

void run(const std::string& dataset, const std::string& folder) {
  const Stopwatch reading;
  const Data data = read_data(dataset);
  std::printf("%s: %llu + %llu pictures of 28 x 28, %.0f MB, read from IDX files in %.1f s\n", data.name.c_str(),
              static_cast<unsigned long long>(data.train.labels.size()),
              static_cast<unsigned long long>(data.test.labels.size()), static_cast<double>(bytes_of(data)) / 1e6,
              reading.seconds());
  const Model model = train(data);
  if (model.metrics.at("test accuracy") < 0.82) {
    throw std::runtime_error("the model is worse than it should be");
  }

  std::filesystem::create_directories(folder);
  std::printf("\nprocess %d saves and loads, to and from %s (three runs each, medians):\n\n",
              static_cast<int>(::getpid()), folder.c_str());
  std::vector<File> files;
  add_files<Data>(files, "data.stele", data);
  add_files<ModelView>(files, "model.stele", model);
  print_table(folder, files);

  std::printf("\n");
  classify_in_another_process(folder + "/model.stele", folder + "/data.stele");
  std::printf("demo: done; a second process mapped the model of the first and classified as it did: %.2f %%\n",
              100 * model.metrics.at("test accuracy"));
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::strcmp(argv[1], "--classify") == 0) {
      return demo::classify(argv[2], argv[3]);
    }
    if (argc == 3) {
      demo::run(argv[1], argv[2]);
      return 0;
    }
    std::fprintf(stderr, "usage: demo DATASET_FOLDER OUTPUT_FOLDER\n");
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "demo: %s\n", error.what());
    return 1;
  }
}
