#include "refine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "cholesky.h"

namespace ssiqa {
namespace {

// A factor in float that stands for A at all needs about ten iterations; with one in double, two are enough.
constexpr std::size_t kMaxIterations = 20;
constexpr std::size_t kMaxRounds = 5;

constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;
// In units of kUnit (norm |x| + |b|). A direct solve in double reaches 0.1 to 0.2.
constexpr double kGoal = 0.1;
constexpr double kAcceptable = 4;

using Vectors = std::vector<double>;

double dot(const double* a, const double* b, std::size_t size) {
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

double length(const double* a, std::size_t size) { return std::sqrt(dot(a, a, size)); }

template <class F>
struct Solver {
  const Triangle<double>& a;
  const Triangle<F>& factor;
  std::size_t count;
  std::size_t threads;
  std::size_t size = a.padded();
  std::vector<F> scratch = std::vector<F>(size * count);
  std::size_t iterations = 0;

  // z = M^-1 r. Each vector is brought to length 1 first, so that float can hold it.
  void precondition(const Vectors& r, Vectors& z) {
    std::vector<double> scales(count);
    for (std::size_t t = 0; t < count; ++t) {
      const double norm = length(r.data() + t * size, size);
      scales[t] = norm > 0 ? norm : 1;
      for (std::size_t i = 0; i < size; ++i) scratch[t * size + i] = static_cast<F>(r[t * size + i] / scales[t]);
    }
    solve(factor, scratch.data(), count, threads);
    for (std::size_t t = 0; t < count; ++t) {
      for (std::size_t i = 0; i < size; ++i) z[t * size + i] = scales[t] * static_cast<double>(scratch[t * size + i]);
    }
  }

  // Brings each r = b - A d, at first with d = 0, to the length that goal(t, d) allows; false if it cannot.
  template <class Goal>
  bool reduce(Vectors& r, Vectors& d, const Goal& goal) {
    Vectors z(r.size());
    Vectors product(r.size());
    std::vector<double> rho(count);
    std::fill(d.begin(), d.end(), 0.0);
    precondition(r, z);
    Vectors direction = z;
    for (std::size_t t = 0; t < count; ++t) rho[t] = dot(r.data() + t * size, z.data() + t * size, size);
    while (iterations++ < kMaxIterations) {
      multiply(a, direction.data(), product.data(), count, threads);
      bool finished = true;
      for (std::size_t t = 0; t < count; ++t) {
        const std::size_t at = t * size;
        const double curvature = dot(direction.data() + at, product.data() + at, size);
        const double step = curvature > 0 ? rho[t] / curvature : 0;
        for (std::size_t i = at; i < at + size; ++i) {
          d[i] += step * direction[i];
          r[i] -= step * product[i];
        }
        finished = finished && length(r.data() + at, size) <= goal(t, d.data() + at);
      }
      if (finished) return true;
      precondition(r, z);
      for (std::size_t t = 0; t < count; ++t) {
        const std::size_t at = t * size;
        const double before = rho[t];
        rho[t] = dot(r.data() + at, z.data() + at, size);
        const double beta = before > 0 ? rho[t] / before : 0;
        for (std::size_t i = at; i < at + size; ++i) direction[i] = z[i] + beta * direction[i];
      }
    }
    return false;
  }
};

}  // namespace

template <class F>
bool refine(const Triangle<double>& a, double norm, const Triangle<F>& factor, const double* b, double* x,
            std::size_t count, std::size_t threads) {
  Solver<F> solver{a, factor, count, threads};
  const std::size_t size = solver.size;
  const std::size_t whole = size * count;
  Vectors r(b, b + whole);
  Vectors d(whole);
  Vectors product(whole);
  Vectors before(whole);
  std::vector<double> shortest(count, std::numeric_limits<double>::infinity());
  std::vector<double> lengths(count);  // of the columns of b
  for (std::size_t t = 0; t < count; ++t) lengths[t] = length(b + t * size, size);
  const auto unit = [&](std::size_t t, double length_of_x) { return kUnit * (norm * length_of_x + lengths[t]); };
  std::fill_n(x, whole, 0.0);

  for (std::size_t round = 0; round < kMaxRounds; ++round) {
    const bool reduced = solver.reduce(r, d, [&](std::size_t t, const double* change) {
      return kGoal / 2 * unit(t, length(x + t * size, size) + length(change, size));
    });
    if (!reduced) return false;
    std::copy_n(x, whole, before.begin());
    for (std::size_t i = 0; i < whole; ++i) x[i] += d[i];
    multiply(a, x, product.data(), count, threads);
    for (std::size_t i = 0; i < whole; ++i) r[i] = b[i] - product[i];

    bool finished = true;
    for (std::size_t t = 0; t < count; ++t) {
      const double left = length(r.data() + t * size, size);
      const double limit = unit(t, length(x + t * size, size));
      const double previous = std::exchange(shortest[t], std::min(shortest[t], left));
      if (left > previous) std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(t * size), size, x + t * size);
      const bool stalled = left > previous / 2 && shortest[t] <= kAcceptable * limit;
      finished = finished && (left <= kGoal * limit || stalled);
    }
    if (finished) return true;
  }
  return false;
}

template bool refine(const Triangle<double>&, double, const Triangle<float>&, const double*, double*, std::size_t,
                     std::size_t);
template bool refine(const Triangle<double>&, double, const Triangle<double>&, const double*, double*, std::size_t,
                     std::size_t);

}  // namespace ssiqa
