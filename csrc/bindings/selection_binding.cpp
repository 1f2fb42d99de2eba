#include "selection_binding.h"

#include <bit>
#include <utility>

#include "array.h"
#include "selection.h"
#include "threads.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

template <class T>
constexpr Type kType = sizeof(T) == sizeof(float) ? Type::float32 : Type::float64;

// Starts at `offset`, and keeps the k smallest of what it is shown.
template <class T>
class Shard {
 public:
  Shard(std::size_t k, std::int64_t offset) : k_(k), next_(offset) {}

  void update(const py::object& pred_object, const py::object& target_object) {
    const Array pred(pred_object, "pred");
    const Array target(target_object, "target");
    pred.require_type(kType<T>);
    target.require_type(kType<T>);
    if (pred.ndim() != 1) throw py::value_error("pred must have one axis.");
    target.require_shape(pred.shape());
    const py::gil_scoped_release release;
    const VectorView<T> a = pred.vector<T>();
    Selection<T> chunk = select(a, target.vector<T>(), k_, next_, n_threads());
    next_ += static_cast<std::int64_t>(a.size);
    selection_ = selection_.seen == 0 ? std::move(chunk) : merge(selection_, chunk, k_);
  }

  void merge_with(const Shard& other) {
    const py::gil_scoped_release release;
    selection_ = merge(selection_, other.selection_, k_);
  }

  std::size_t size() const { return selection_.keys.size(); }
  std::size_t nan_count() const { return selection_.nan_count; }
  std::size_t seen() const { return selection_.seen; }

  void write_indices(const py::object& object) const {
    const Array out(object, "out", Array::Access::write);
    out.require_type(Type::int64);
    out.require_shape({size()});
    std::int64_t* to = out.data<std::int64_t>();
    for (const Key<T>& key : selection_.keys) *to++ = key.index;
  }

  void write_differences(const py::object& object) const {
    const Array out(object, "out", Array::Access::write);
    out.require_type(kType<T>);
    out.require_shape({size()});
    T* to = out.data<T>();
    for (const Key<T>& key : selection_.keys) *to++ = std::bit_cast<T>(key.bits);
  }

 private:
  std::size_t k_;
  std::int64_t next_;
  Selection<T> selection_;
};

template <class T>
void bind_shard(py::module_& m, const char* name) {
  py::class_<Shard<T>>(m, name)
      .def(py::init<std::size_t, std::int64_t>(), py::arg("k"), py::arg("offset"))
      .def("update", &Shard<T>::update, py::arg("pred"), py::arg("target"))
      .def("merge", &Shard<T>::merge_with, py::arg("other"))
      .def("write_indices", &Shard<T>::write_indices, py::arg("out"))
      .def("write_differences", &Shard<T>::write_differences, py::arg("out"))
      .def_property_readonly("size", &Shard<T>::size)
      .def_property_readonly("nan_count", &Shard<T>::nan_count)
      .def_property_readonly("seen", &Shard<T>::seen);
}

}  // namespace

void bind_selection(py::module_& m) {
  bind_shard<float>(m, "Selection32");
  bind_shard<double>(m, "Selection64");
}

}  // namespace ssiqa
