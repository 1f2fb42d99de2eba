#include "selection_binding.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "array.h"
#include "difference.h"
#include "selection.h"
#include "threads.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

void require_vectors(const Array& pred, const Array& target) {
  if (pred.ndim() != 1) throw py::value_error("pred must have one axis.");
  target.require_type(pred.type());
  target.require_shape(pred.shape());
}

void bind_smallest_difference(const py::object& pred_object, const py::object& target_object,
                              const py::object& out_object) {
  const Array pred(pred_object, "pred");
  pred.require_float();
  const Array target(target_object, "target");
  require_vectors(pred, target);
  const Array out(out_object, "out", Array::Access::write);
  out.require_type(Type::int64);
  if (out.ndim() != 1 || out.shape(0) > pred.shape(0)) throw py::value_error("out must be a part of one axis.");
  const auto run = [&]<class T>(T) {
    const py::gil_scoped_release release;
    smallest_difference(pred.vector<T>(), target.vector<T>(), out.shape(0), out.data<std::int64_t>(), n_threads());
  };
  if (pred.type() == Type::float32) {
    run(float{});
  } else {
    run(double{});
  }
}

template <class T>
constexpr Type kType = sizeof(T) == sizeof(float) ? Type::float32 : Type::float64;

// A selection that counts the elements on from `offset`. Its lock keeps two Python threads apart: the work runs without
// the interpreter's.
template <class T>
class Shard {
 public:
  Shard(std::size_t k, std::size_t offset) : selection_(k), next_(offset) {}

  void update(const py::object& pred_object, const py::object& target_object) {
    const Array pred(pred_object, "pred");
    pred.require_type(kType<T>);
    const Array target(target_object, "target");
    require_vectors(pred, target);
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    selection_.add(pred.vector<T>(), target.vector<T>(), next_, n_threads());
    next_ += pred.shape(0);
  }

  void merge(Shard& other) {
    const py::gil_scoped_release release;
    auto copy = [&] {
      const std::lock_guard lock(other.mutex_);
      return other.selection_;
    }();
    const std::lock_guard lock(mutex_);
    selection_.merge(std::move(copy));
  }

  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return selection_.keys().size();
  }

  std::size_t nan_count() {
    const std::lock_guard lock(mutex_);
    return selection_.nan_count();
  }

  void write_indices(const py::object& out) {
    write<std::int64_t>(out, Type::int64, [](const auto& key) { return static_cast<std::int64_t>(key.index); });
  }

  void write_differences(const py::object& out) {
    write<T>(out, kType<T>, [](const auto& key) { return difference_of<T>(key.bits); });
  }

 private:
  template <class Value, class Get>
  void write(const py::object& object, Type type, const Get& get) {
    const Array out(object, "out", Array::Access::write);
    out.require_type(type);
    const std::lock_guard lock(mutex_);
    out.require_shape({selection_.keys().size()});
    std::ranges::transform(selection_.keys(), out.data<Value>(), get);
  }

  std::mutex mutex_;
  Selection<T, std::uint64_t> selection_;
  std::size_t next_;
};

template <class T>
void bind_shard(py::module_& m, const char* name) {
  py::class_<Shard<T>>(m, name)
      .def(py::init<std::size_t, std::size_t>(), py::arg("k"), py::arg("offset"))
      .def("update", &Shard<T>::update, py::arg("pred"), py::arg("target"))
      .def("merge", &Shard<T>::merge, py::arg("other"))
      .def("write_indices", &Shard<T>::write_indices, py::arg("out"))
      .def("write_differences", &Shard<T>::write_differences, py::arg("out"))
      .def_property_readonly("size", &Shard<T>::size)
      .def_property_readonly("nan_count", &Shard<T>::nan_count);
}

}  // namespace

void bind_selection(py::module_& m) {
  m.def("smallest_difference", bind_smallest_difference, py::arg("pred"), py::arg("target"), py::arg("out"));
  bind_shard<float>(m, "Selection32");
  bind_shard<double>(m, "Selection64");
}

}  // namespace ssiqa
