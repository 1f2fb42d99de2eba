#include "array.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

constexpr std::size_t kElementSize[] = {4, 8, 8, 1};
constexpr const char* kTypeName[] = {"float32", "float64", "int64", "uint8"};

// Names are made once and calls build no dictionary: asking for the memory is most of the cost of a small call.
PyObject* interned(const char* text) {
  PyObject* const name = PyUnicode_InternFromString(text);
  if (name == nullptr) throw py::error_already_set();
  return name;
}

struct Protocol {
  PyObject* device = interned("__dlpack_device__");
  PyObject* dlpack = interned("__dlpack__");
  PyObject* version = py::make_tuple(dlpack::kMajorVersion, 0).release().ptr();
  PyObject* of_version = py::make_tuple(py::str("max_version")).release().ptr();
  PyObject* of_both = py::make_tuple(py::str("stream"), py::str("max_version")).release().ptr();
  PyObject* of_stream = py::make_tuple(py::str("stream")).release().ptr();
};

const Protocol& protocol() {
  static const Protocol names;  // never freed, because the interpreter may be gone by then
  return names;
}

// Empty where the memory is the one that is meant, else what it should be.
std::string misplaced(int type, int device, const Gpu* gpu) {
  if (gpu == nullptr) return type == dlpack::kCpu || type == dlpack::kCudaHost ? "" : "must be in CPU memory";
  const bool there = (type == dlpack::kCuda || type == dlpack::kCudaManaged) && device == gpu->device;
  return there ? "" : "must be in the memory of CUDA device " + std::to_string(gpu->device) + ", like the first array";
}

void check_device(const py::object& object, const std::string& name, const Gpu* gpu) {
  PyObject* self = object.ptr();
  const auto device = py::reinterpret_steal<py::object>(
      PyObject_VectorcallMethod(protocol().device, &self, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (!device) {
    if (PyObject_HasAttr(self, protocol().device) != 0) throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error(name + " must be an array that supports DLPack, such as numpy's or torch's.");
  }
  const auto place = py::reinterpret_borrow<py::sequence>(device);
  const std::string wrong = misplaced(py::cast<int>(place[0]), py::cast<int>(place[1]), gpu);
  if (!wrong.empty()) throw py::value_error(name + " " + wrong + ".");
}

// Version 1 first, because only it lets a producer hand out memory that is read-only; older producers do not know the
// argument.
py::object request_capsule(const py::object& object, const Gpu* gpu) {
  const Protocol& names = protocol();
  const auto ask = [&](PyObject* const* arguments, PyObject* keywords) {
    return PyObject_VectorcallMethod(names.dlpack, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
  };
  py::object stream;
  if (gpu != nullptr) stream = py::int_(gpu->stream);
  PyObject* const with_version[] = {object.ptr(), names.version};
  PyObject* const with_both[] = {object.ptr(), stream.ptr(), names.version};
  PyObject* capsule = gpu == nullptr ? ask(with_version, names.of_version) : ask(with_both, names.of_both);
  if (capsule == nullptr && PyErr_ExceptionMatches(PyExc_TypeError) != 0) {
    PyErr_Clear();
    capsule = gpu == nullptr ? ask(with_version, nullptr) : ask(with_both, names.of_stream);
  }
  if (capsule == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(capsule);
}

}  // namespace

const dlpack::Tensor* Array::Owner::take(const py::object& capsule, bool& read_only) {
  PyObject* const raw = capsule.ptr();
  if (PyCapsule_IsValid(raw, dlpack::kVersionedName) != 0) {
    auto* const managed = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(raw, dlpack::kVersionedName));
    if (PyCapsule_SetName(raw, dlpack::kUsedVersionedName) != 0) throw py::error_already_set();
    release_ = [managed] {
      if (managed->deleter != nullptr) managed->deleter(managed);
    };
    if (managed->major != dlpack::kMajorVersion) throw py::value_error("This version of DLPack is not supported.");
    read_only = (managed->flags & dlpack::kReadOnly) != 0;
    return &managed->tensor;
  }
  if (PyCapsule_IsValid(raw, dlpack::kName) != 0) {
    auto* const managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(raw, dlpack::kName));
    if (PyCapsule_SetName(raw, dlpack::kUsedName) != 0) throw py::error_already_set();
    release_ = [managed] {
      if (managed->deleter != nullptr) managed->deleter(managed);
    };
    read_only = false;
    return &managed->tensor;
  }
  throw py::value_error("__dlpack__ returned something that is not an unused DLPack capsule.");
}

Array::Array(const py::object& object, const std::string& name, Access access, const Gpu* gpu) : name_(name) {
  check_device(object, name, gpu);
  bool read_only = false;
  const dlpack::Tensor& tensor = *owner_.take(request_capsule(object, gpu), read_only);
  read_layout(tensor, gpu);
  if (access == Access::read) return;
  if (data_ == nullptr) return;
  if (access == Access::write && read_only) fail("must be writable");
  std::ptrdiff_t expected = 1;
  for (std::size_t axis = ndim(); axis-- > 0;) {
    if (shape_[axis] > 1 && strides_[axis] != expected) fail("must be contiguous");
    expected *= static_cast<std::ptrdiff_t>(shape_[axis]);
  }
}

void Array::read_layout(const dlpack::Tensor& tensor, const Gpu* gpu) {
  const std::string wrong = misplaced(tensor.device.type, tensor.device.id, gpu);
  if (!wrong.empty()) fail(wrong);
  const auto [code, bits, lanes] = tensor.dtype;
  if (code == dlpack::kFloat && bits == 32 && lanes == 1) {
    type_ = Type::float32;
  } else if (code == dlpack::kFloat && bits == 64 && lanes == 1) {
    type_ = Type::float64;
  } else if (code == dlpack::kInt && bits == 64 && lanes == 1) {
    type_ = Type::int64;
  } else if (code == dlpack::kUInt && bits == 8 && lanes == 1) {
    type_ = Type::uint8;
  } else {
    throw py::type_error(name_ + " must have dtype float32, float64 or, for indices, int64, for pixels, uint8.");
  }
  if (tensor.ndim < 0 || (tensor.ndim > 0 && tensor.shape == nullptr)) fail("has no shape");
  std::int64_t size = 1;
  for (std::int32_t axis = 0; axis < tensor.ndim; ++axis) {
    if (tensor.shape[axis] < 0) fail("has a negative size");
    if (__builtin_mul_overflow(size, tensor.shape[axis], &size)) fail("is too large");
  }
  std::int64_t contiguous = 1;
  shape_.resize(static_cast<std::size_t>(tensor.ndim));
  strides_.resize(shape_.size());
  for (std::size_t axis = shape_.size(); axis-- > 0;) {
    shape_[axis] = static_cast<std::size_t>(tensor.shape[axis]);
    strides_[axis] = static_cast<std::ptrdiff_t>(tensor.strides != nullptr ? tensor.strides[axis] : contiguous);
    contiguous *= tensor.shape[axis];
  }
  if (size == 0) return;  // such an array may have no memory
  if (tensor.data == nullptr) fail("has no memory");
  data_ = static_cast<char*>(tensor.data) + tensor.byte_offset;
  if (reinterpret_cast<std::uintptr_t>(data_) % kElementSize[static_cast<std::size_t>(type_)] != 0) {
    fail("must be aligned to its element size; copy it first");
  }
}

void Array::require_shape(const std::vector<std::size_t>& shape) const {
  if (shape_ != shape) fail("has the wrong shape");
}

void Array::require_float() const {
  if (type_ != Type::float32 && type_ != Type::float64) throw py::type_error(name_ + " must have dtype float32 or float64.");
}

void Array::require_type(Type type) const {
  if (type_ != type) {
    throw py::type_error(name_ + " must have dtype " + kTypeName[static_cast<std::size_t>(type)] + " like the others.");
  }
}

void Array::fail(const std::string& what) const { throw py::value_error(name_ + " " + what + "."); }

}  // namespace ssiqa
