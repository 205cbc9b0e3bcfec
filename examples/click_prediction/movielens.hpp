#pragma once
// MovieLens 100k (F. Harper and J. Konstan, The MovieLens datasets: history and context, 2015) as a task of click
// prediction: does a user rate a movie with 4 or 5 stars? The earlier half of each user's ratings is the history, the
// later half are the examples; those of a quarter of the users are the test.

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "data.hpp"

namespace clicks {

/// The rows of a file of numbers between commas, below its line of names.
inline std::vector<std::vector<std::uint32_t>> read_numbers(const std::string& path, std::size_t columns) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) {
    throw std::runtime_error(path + " cannot be read");
  }
  std::vector<std::vector<std::uint32_t>> rows;
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::vector<std::uint32_t> row;
    for (std::string cell; std::getline(cells, cell, ',');) {
      row.push_back(static_cast<std::uint32_t>(std::stoul(cell)));
    }
    if (row.size() != columns) {
      throw std::runtime_error(path + " has a line of other than " + std::to_string(columns) + " numbers");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

class MovieLens {
 public:
  explicit MovieLens(const std::string& folder)
      : movies_(read_numbers(folder + "/movies.csv", 2 + genres)),
        users_(read_numbers(folder + "/users.csv", 4)),
        history_(users_.size()),
        examples_(users_.size()) {
    std::vector<std::vector<std::vector<std::uint32_t>>> by_user(users_.size());
    for (const auto& row : read_numbers(folder + "/ratings.csv", 4)) {  // user, movie, stars, seconds
      by_user.at(row[0]).push_back(row);
      (void)movies_.at(row[1]);
    }
    for (std::size_t user = 0; user < users_.size(); ++user) {
      auto& rows = by_user[user];
      std::sort(rows.begin(), rows.end(),
                [](const auto& a, const auto& b) { return std::pair(a[3], a[1]) < std::pair(b[3], b[1]); });
      for (std::size_t i = 0; i < rows.size(); ++i) {
        (i < rows.size() / 2 ? history_ : examples_)[user].push_back({rows[i][1], rows[i][2]});
      }
    }
  }

  Data make() {
    relate();
    Data data;
    data.inputs = first_answer + 4;
    for (std::uint32_t user = 0; user < history_.size(); ++user) {
      for (const Rating& rating : history_[user]) {
        data.history.push_back({user, feature(rating.movie, rating.stars >= liked_from)});
      }
    }
    for (const bool test : {false, true}) {
      for (std::uint32_t user = 0; user < examples_.size(); ++user) {
        for (const Rating& rating : examples_[user]) {
          if ((user % 4 == 0) == test) {
            add_example(data, user, rating);
          }
        }
      }
      if (!test) {
        shuffle(data);
      }
    }
    return data;
  }

 private:
  struct Rating {
    std::uint32_t movie;
    std::uint32_t stars;
  };
  struct Related {
    std::uint32_t movie;
    float weight;
  };
  static constexpr std::uint32_t genres = 19;
  static constexpr std::uint32_t liked_from = 4;  // stars
  static constexpr std::uint32_t most_movies = 2000;
  static constexpr std::size_t related = 40;
  // Inputs of the model: 1, the movie, its genres and decade, the user's age, gender and occupation, the answers.
  static constexpr std::uint32_t first_genre = 1 + most_movies;
  static constexpr std::uint32_t first_decade = first_genre + genres;
  static constexpr std::uint32_t first_age = first_decade + 12;
  static constexpr std::uint32_t first_gender = first_age + 10;
  static constexpr std::uint32_t first_occupation = first_gender + 2;
  static constexpr std::uint32_t first_answer = first_occupation + 30;

  static std::uint32_t feature(std::uint32_t movie, bool liked) { return 2 * movie + (liked ? 1 : 0); }

  /// For each movie the others whose ratings go along with its own most, by the histories; and the movies rated most.
  void relate() {
    const std::size_t n = movies_.size();
    std::vector<float> products(n * n);
    std::vector<float> squares(n * n);  // of the row's movie, over users who have rated both
    std::vector<std::uint32_t> times(n);
    for (const auto& ratings : history_) {
      float mean = 3.5F * 5;  // as if of five average ratings more
      for (const Rating& rating : ratings) {
        mean += static_cast<float>(rating.stars);
        ++times[rating.movie];
      }
      mean /= static_cast<float>(ratings.size() + 5);
      for (const Rating& a : ratings) {
        for (const Rating& b : ratings) {
          const float over = static_cast<float>(a.stars) - mean;
          products[a.movie * n + b.movie] += over * (static_cast<float>(b.stars) - mean);
          squares[a.movie * n + b.movie] += over * over;
        }
      }
    }
    related_.resize(n);
    for (std::uint32_t a = 0; a < n; ++a) {
      std::vector<Related> all;
      for (std::uint32_t b = 0; b < n; ++b) {
        const float weight = products[a * n + b] / (std::sqrt(squares[a * n + b] * squares[b * n + a]) + 15);
        if (a != b && weight > 0) {
          all.push_back({b, weight});
        }
      }
      std::sort(all.begin(), all.end(), [](const Related& x, const Related& y) {
        return x.weight != y.weight ? x.weight > y.weight : x.movie < y.movie;
      });
      all.resize(std::min(all.size(), related));
      float sum = 1;
      for (const Related& one : all) {
        sum += one.weight;
      }
      for (Related& one : all) {
        one.weight *= 5 / sum;
      }
      related_[a] = std::move(all);
    }
    popular_.resize(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      popular_[i] = i;
    }
    std::sort(popular_.begin(), popular_.end(),
              [&](std::uint32_t a, std::uint32_t b) { return times[a] != times[b] ? times[a] > times[b] : a < b; });
    popular_.resize(std::min<std::size_t>(n, 100));
  }

  void add_example(Data& data, std::uint32_t user, const Rating& rating) const {
    const auto& movie = movies_[rating.movie];  // number, year, genres
    const auto& person = users_[user];          // number, age, gender, occupation
    std::vector<std::uint32_t> request{0,
                                       1 + rating.movie,
                                       first_decade + std::min((std::max(movie[1], 1900U) - 1900) / 10, 11U),
                                       first_age + std::min(person[1] / 10, 9U),
                                       first_gender + std::min(person[2], 1U),
                                       first_occupation + std::min(person[3], 29U)};
    for (std::uint32_t genre = 0; genre < genres; ++genre) {
      if (movie[2 + genre] != 0) {
        request.push_back(first_genre + genre);
      }
    }
    std::vector<Question> questions;
    for (const Related& one : related_[rating.movie]) {
      questions.push_back({feature(one.movie, true), first_answer, one.weight});
      questions.push_back({feature(one.movie, false), first_answer + 1, one.weight});
    }
    for (const std::uint32_t one : popular_) {
      questions.push_back({feature(one, true), first_answer + 2, 0.05F});
      questions.push_back({feature(one, false), first_answer + 3, 0.05F});
    }
    data.add(user, rating.stars >= liked_from, request, questions);
  }

  /// Training goes through the examples in a random order, as those of one user are alike.
  static void shuffle(Data& data) {
    std::vector<std::size_t> order(data.size());
    Random random(5);
    for (std::size_t i = 0; i < order.size(); ++i) {
      order[i] = i;
      std::swap(order[i], order[random.below(i + 1)]);
    }
    Data mixed;
    mixed.history = std::move(data.history);
    mixed.inputs = data.inputs;
    mixed.trained = data.size();
    for (const std::size_t i : order) {
      const Example example = data[i];
      mixed.add(example.user, example.clicked, example.request, example.questions);
    }
    data = std::move(mixed);
  }

  std::vector<std::vector<std::uint32_t>> movies_;
  std::vector<std::vector<std::uint32_t>> users_;
  std::vector<std::vector<Rating>> history_;
  std::vector<std::vector<Rating>> examples_;
  std::vector<std::vector<Related>> related_;
  std::vector<std::uint32_t> popular_;
};

inline Data movielens(const std::string& folder) { return MovieLens(folder).make(); }

}  // namespace clicks
