// exceptions [DEATH]: what C++ promises of them across frames, libraries, destructors and callbacks from C.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <new>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace {

int alive = 0;

struct Counted {
  Counted() { alive++; }
  Counted(const Counted &) { alive++; }
  ~Counted() { alive--; }
};

struct Base : std::runtime_error {
  using std::runtime_error::runtime_error;
  virtual const char *kind() const { return "base"; }
};
struct Left : virtual Base {
  Left() : Base("left") {}
  const char *kind() const override { return "left"; }
};
struct Both : Left {
  Both() : Base("both") {}
  const char *kind() const override { return "both"; }
};

// Deep frames with things to destroy and floats in callee-saved registers.
double sink(int depth, double weight) {
  Counted one, two;
  if (depth == 0) throw Both();
  const double below = sink(depth - 1, weight * 1.5 + depth);
  return below + weight;
}

void types() {
  for (int depth : {0, 1, 10, 300}) {
    try {
      std::cout << sink(depth, 0.25) << '\n';
    } catch (const Left &error) {
      std::cout << "depth " << depth << ": " << error.kind() << ", " << error.what() << ", alive " << alive << '\n';
    }
  }
}

int compare(const void *a, const void *b) {
  const int x = *static_cast<const int *>(a), y = *static_cast<const int *>(b);
  if (x == 13 || y == 13) throw std::invalid_argument("thirteen");
  return (x > y) - (x < y);
}

void callbacks() {
  std::vector<int> values;
  for (int i = 0; i < 200; i++) values.push_back(i * 37 % 101);
  try {
    std::qsort(values.data(), values.size(), sizeof(int), compare);
  } catch (const std::logic_error &error) {
    std::cout << "through qsort: " << error.what() << '\n';
  }
  try {
    std::sort(values.begin(), values.end(), [](int a, int b) {
      if (a == 0 && b == 0) throw "equal zeros";
      return a < b;
    });
  } catch (const char *text) {
    std::cout << "through std::sort: " << text << '\n';
  }
  try {
    std::function<int(int)> dive = [&](int n) { return n == 0 ? throw std::errc::io_error : dive(n - 1); };
    dive(50);
  } catch (std::errc error) {
    std::cout << "through std::function: " << std::make_error_code(error).message() << '\n';
  }
}

void nested() {
  try {
    try {
      std::vector<int>().at(5);
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (const std::exception &outer) {
    std::cout << outer.what() << " around ";
    try {
      std::rethrow_if_nested(outer);
    } catch (const std::out_of_range &) {
      std::cout << "out_of_range\n";
    }
  }
  std::exception_ptr kept;
  try {
    std::stoi("no number");
  } catch (...) {
    kept = std::current_exception();
  }
  for (int i = 0; i < 2; i++) {
    try {
      std::rethrow_exception(kept);
    } catch (const std::invalid_argument &error) {
      std::cout << "kept: " << error.what() << ", uncaught " << std::uncaught_exceptions() << '\n';
    }
  }
}

struct Guard {
  ~Guard() {
    std::cout << "unwinding: " << std::uncaught_exceptions() << '\n';
    try {
      throw 1;
    } catch (int) {
      std::cout << "an exception while another unwinds\n";
    }
  }
};

void destructors() try {
  Guard guard;
  throw std::string("a string");
} catch (const std::string &text) {
  std::cout << "function try block: " << text << '\n';
}

void library() {
  try {
    std::regex("a(b");
  } catch (const std::regex_error &error) {
    std::cout << "regex: " << (error.code() == std::regex_constants::error_paren) << '\n';
  }
  const std::string text = "2011-12-05 and 2016-08-01";
  const std::regex date("(\\d{4})-(\\d\\d)-(\\d\\d)");
  for (std::sregex_iterator i(text.begin(), text.end(), date), end; i != end; ++i) {
    std::cout << "date " << (*i)[3] << '.' << (*i)[2] << '.' << (*i)[1] << '\n';
  }
  try {
    volatile std::size_t much = static_cast<std::size_t>(-1) / 4;
    char *volatile bytes = new char[much];
    std::cout << "allocated " << (bytes != nullptr) << '\n';
  } catch (const std::bad_alloc &) {
    std::cout << "bad_alloc\n";
  }
}

void raise_it() { throw std::runtime_error("nobody may see this"); }
void forbidden(void (*function)()) noexcept { function(); }

}  // namespace

int main(int argc, char **argv) {
  types();
  callbacks();
  nested();
  destructors();
  library();
  std::cout << "alive " << alive << std::endl;
  if (argc > 1 && std::strcmp(argv[1], "noexcept") == 0) forbidden(raise_it);
  if (argc > 1 && std::strcmp(argv[1], "uncaught") == 0) throw std::runtime_error("uncaught");
  if (argc > 1 && std::strcmp(argv[1], "exit") == 0) std::exit(9);
  return 0;
}
