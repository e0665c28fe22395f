// C++: containers, algorithms, iostream, exceptions, RTTI, static construction, smart pointers.
#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

struct Noisy {
  const char *name;
  explicit Noisy(const char *name) : name(name) { std::cout << "construct " << name << '\n'; }
  ~Noisy() { std::cout << "destroy " << name << '\n'; }
  Noisy(const Noisy &) = delete;
};

Noisy global("global");

struct Shape {
  virtual ~Shape() = default;
  virtual double area() const = 0;
};
struct Square : Shape {
  double side;
  explicit Square(double side) : side(side) {}
  double area() const override { return side * side; }
};
struct Circle : Shape {
  double radius;
  explicit Circle(double radius) : radius(radius) {}
  double area() const override { return 3.25 * radius * radius; }
};

struct Special : std::runtime_error {
  int code;
  Special(const std::string &what, int code) : std::runtime_error(what), code(code) {}
};

void containers() {
  std::vector<int> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::reverse(numbers.begin(), numbers.end());
  std::stable_sort(numbers.begin(), numbers.end(), [](int a, int b) { return a % 10 < b % 10; });
  std::cout << "vector " << numbers.front() << ' ' << numbers[500] << ' ' << numbers.back() << ' '
            << std::accumulate(numbers.begin(), numbers.end(), 0LL) << '\n';
  std::map<std::string, int> words;
  std::istringstream text("the door in the floor of the machine is the door to the machine");
  for (std::string word; text >> word;) words[word]++;
  for (const auto &[word, count] : words) std::cout << word << '=' << count << ' ';
  std::cout << '\n';
  std::unordered_map<int, std::string> table;
  for (int i = 0; i < 5000; i++) table[i * 7919] = std::to_string(i);
  std::size_t found = 0;
  for (int i = 0; i < 5000; i++) found += table.count(i * 7919) && table[i * 7919] == std::to_string(i);
  std::cout << "unordered_map " << found << " of " << table.size() << '\n';
  std::set<int> evens;
  for (int n : numbers) {
    if (n % 2 == 0) evens.insert(n / 2);
  }
  std::list<int> linked(evens.begin(), evens.end());
  linked.remove_if([](int n) { return n % 3 == 0; });
  std::deque<int> both(linked.begin(), linked.end());
  both.push_front(-1);
  std::cout << "set " << evens.size() << ", list " << linked.size() << ", deque " << both[0] << ' '
            << both.back() << '\n';
  std::priority_queue<double> heap;
  for (int i = 1; i < 20; i++) heap.push(100.0 / i);
  std::cout << "heap";
  for (int i = 0; i < 4; i++, heap.pop()) std::cout << ' ' << heap.top();
  std::cout << '\n';
  std::array<std::string, 3> strings{"zebra", "apple", "a string that is too long for the small buffer"};
  std::sort(strings.begin(), strings.end());
  std::cout << strings[0].size() << ' ' << strings[1] + "s and " + strings[2] << '\n';
}

int dive(int depth) {
  Noisy local(depth % 2 ? "odd" : "even");
  if (depth == 0) throw Special("the bottom", 42);
  return dive(depth - 1) + 1;
}

void exceptions() {
  try {
    dive(3);
  } catch (const std::exception &error) {
    const auto *special = dynamic_cast<const Special *>(&error);
    std::cout << "caught " << error.what() << ' ' << (special ? special->code : 0) << '\n';
  }
  try {
    std::vector<int>().at(3);
  } catch (const std::out_of_range &) {
    std::cout << "caught out_of_range\n";
  }
  try {
    try {
      throw 7;
    } catch (int value) {
      std::cout << "caught int " << value << ", throwing again\n";
      throw;
    }
  } catch (...) {
    std::cout << "caught something\n";
  }
  try {
    (void)std::stoi("not a number");
  } catch (const std::invalid_argument &) {
    std::cout << "caught invalid_argument\n";
  }
  int caught = 0;
  for (int i = 0; i < 1000; i++) {
    try {
      if (i % 3 == 0) throw std::make_unique<int>(i);
    } catch (std::unique_ptr<int> &value) {
      caught += *value;
    }
  }
  std::cout << "a thousand tries: " << caught << '\n';
}

void objects() {
  std::vector<std::unique_ptr<Shape>> shapes;
  shapes.push_back(std::make_unique<Square>(2.5));
  shapes.push_back(std::make_unique<Circle>(2));
  double total = 0;
  for (const auto &shape : shapes) total += shape->area();
  std::cout << "area " << total << ", first is a square: " << (typeid(*shapes[0]) == typeid(Square)) << '\n';
  const auto shared = std::make_shared<Noisy>("shared");
  const std::weak_ptr<Noisy> weak = shared;
  std::cout << "use count " << shared.use_count() << ' ' << weak.expired() << '\n';
  std::variant<int, std::string> either = "text";
  std::optional<int> perhaps;
  std::cout << either.index() << ' ' << perhaps.value_or(-1) << '\n';
  std::function<int(int)> factorial = [&](int n) { return n < 2 ? 1 : n * factorial(n - 1); };
  std::cout << "10! = " << factorial(10) << '\n';
}

void streams() {
  std::cout << std::setw(8) << 42 << '|' << std::left << std::setw(8) << 42 << '|' << std::hex << std::showbase
            << 255 << std::dec << '|' << std::fixed << std::setprecision(3) << 2.0 / 3 << '|'
            << std::scientific << 12345.678 << '|' << std::defaultfloat << 1e100 << '|' << std::boolalpha
            << true << '\n';
  double parsed = 0;
  std::istringstream("2.5e-3") >> parsed;
  int bad = 5;
  std::istringstream broken("x");
  broken >> bad;
  std::cout << parsed << ' ' << bad << ' ' << broken.fail() << '\n';
  std::string line;
  int lines = 0;
  while (std::getline(std::cin, line)) lines++;
  std::cout << "standard input: " << lines << " lines" << std::endl;
}

}  // namespace

int main() {
  containers();
  exceptions();
  objects();
  streams();
  static Noisy last("static in main");
  return 3;
}
