// An array borrowed from any library that speaks DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dlpack.h"
#include "view.h"

namespace ssiqa {

enum class Type { float32, float64, int64, uint8 };

// A GPU's memory, and the stream on which work with it will be queued: the number that DLPack has for it.
struct Gpu {
  int device;
  std::intptr_t stream;
};

// Holds the producer's memory until destroyed, which needs the GIL; the views below do not. Reads through strides, so
// nothing is copied. Throws TypeError or ValueError with the argument's name when the array cannot be used.
class Array {
 public:
  enum class Access { read, contiguous, write };  // write: contiguous and not read-only

  // In CPU memory, or with a GPU in its memory; the producer then makes its work precede what comes on the stream.
  Array(const pybind11::object& object, const std::string& name, Access access = Access::read, const Gpu* gpu = nullptr);
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  Type type() const { return type_; }
  std::size_t ndim() const { return shape_.size(); }
  std::size_t shape(std::size_t axis) const { return shape_[axis]; }
  const std::vector<std::size_t>& shape() const { return shape_; }
  void require_shape(const std::vector<std::size_t>& shape) const;
  void require_float() const;
  void require_type(Type type) const;

  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

  template <class T>
  VectorView<T> vector() const {
    return {data<T>(), shape_[0], strides_[0]};
  }

  // The last two axes; `batch` counts along the first of three.
  template <class T>
  MatrixView<T> matrix(std::size_t batch = 0) const {
    const std::size_t axis = ndim() - 2;
    const std::ptrdiff_t offset = axis == 0 ? 0 : static_cast<std::ptrdiff_t>(batch) * strides_[0];
    return {data<T>() + offset, shape_[axis], shape_[axis + 1], strides_[axis], strides_[axis + 1]};
  }

  // Between one batch and the next.
  std::ptrdiff_t batch_stride() const { return strides_[0]; }

  // (n,) seen as (n, 1), or (n, t), where n is the length along `axis`: 0 or, in batches, 1.
  template <class T>
  MatrixView<T> columns(std::size_t axis = 0, std::size_t batch = 0) const {
    const std::ptrdiff_t offset = axis == 0 ? 0 : static_cast<std::ptrdiff_t>(batch) * strides_[0];
    const bool one = ndim() == axis + 1;
    return {data<T>() + offset, shape_[axis], one ? 1 : shape_[axis + 1], strides_[axis], one ? 1 : strides_[axis + 1]};
  }

 private:
  // Runs the producer's deleter, once, whatever happens after the capsule was taken over.
  class Owner {
   public:
    Owner() = default;
    ~Owner() {
      if (release_) release_();
    }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    const dlpack::Tensor* take(const pybind11::object& capsule, bool& read_only);

   private:
    std::function<void()> release_;
  };

  void read_layout(const dlpack::Tensor& tensor, const Gpu* gpu);
  [[noreturn]] void fail(const std::string& what) const;

  Owner owner_;
  std::string name_;
  Type type_{};
  void* data_ = nullptr;
  std::vector<std::size_t> shape_;
  std::vector<std::ptrdiff_t> strides_;
};

}  // namespace ssiqa
