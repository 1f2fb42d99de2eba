#include "threads.h"

#include <set>
#include <thread>

#include "check.h"

namespace {

void visits_each_index_once() {
  std::vector<int> visits(1000, 0);
  ssiqa::parallel_for(visits.size(), 1e9, 3, [&](std::size_t i) { ++visits[i]; });
  for (const int count : visits) CHECK(count == 1);
}

void small_work_stays_here() {
  std::set<std::thread::id> seen;
  ssiqa::parallel_for(100, 1000, 3, [&](std::size_t) { seen.insert(std::this_thread::get_id()); });
  CHECK(seen == std::set{std::this_thread::get_id()});
}

void an_exception_comes_back() {
  ssiqa::test::check_throws<std::out_of_range>([] {
    ssiqa::parallel_for(1000, 1e9, 3, [](std::size_t i) {
      if (i == 500) throw std::out_of_range("expected");
    });
  });
}

}  // namespace

int main() {
  return ssiqa::test::run([] {
    CHECK(ssiqa::n_threads() == 3);
    visits_each_index_once();
    small_work_stays_here();
    an_exception_comes_back();
  });
}
