// The Python module ssiqa._cuda: the kernels on a GPU, queued on the caller's stream, in memory of the caller's library.
#include <cuda_runtime.h>
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "array.h"
#include "instructions.h"
#include "pairwise.h"
#include "smallest.h"

namespace py = pybind11;

namespace ssiqa {
namespace {

using Access = Array::Access;

// Gives so many bytes of the device's memory, as an array of uint8.
using Allocate = std::function<py::object(std::size_t)>;

// Work goes to this device until the end of the scope.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    gpu::check(cudaGetDevice(&before_), "The current device");
    if (device != before_) gpu::check(cudaSetDevice(device), "The array's device");
  }
  ~OnDevice() { static_cast<void>(cudaSetDevice(before_)); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

// DLPack's number of the legacy default stream is 1, which is the runtime's word for it, too.
cudaStream_t stream_of(const Gpu& gpu) { return reinterpret_cast<cudaStream_t>(gpu.stream); }

// Asks queue(scratch) how much memory it takes, and then lets it work with that.
template <class Queue>
void queue_with_scratch(const Gpu& gpu, const Allocate& allocate, const Queue& queue) {
  constexpr std::size_t kAlignment = 256;
  const OnDevice there(gpu.device);
  gpu::Scratch counted;
  queue(counted);
  const py::object memory = allocate(counted.bytes() + kAlignment);
  const Array array(memory, "scratch", Access::write, &gpu);
  const auto address = reinterpret_cast<std::uintptr_t>(array.data<char>());
  gpu::Scratch scratch(array.data<char>() + (gpu::round_up<std::uintptr_t>(address, kAlignment) - address));
  const py::gil_scoped_release release;
  queue(scratch);
}

template <class Work>
void with_type_of(const Array& array, const Work& work) {
  if (array.type() == Type::float32) {
    work(float{});
  } else {
    work(double{});
  }
}

std::size_t batches_of(const Array& x) { return x.ndim() == 3 ? x.shape(0) : 1; }

template <class T>
gpu::Batch<T> batch(const Array& array) {
  return {array.matrix<T>(), array.ndim() == 3 ? array.batch_stride() : 0};
}

// (b?, m) or (b?, m, t).
template <class T>
gpu::Batch<T> columns(const Array& array, std::size_t axis) {
  return {array.columns<T>(axis), axis == 1 ? array.batch_stride() : 0};
}

bool is_empty(const Array& array) {
  for (const std::size_t size : array.shape()) {
    if (size == 0) return true;
  }
  return false;
}

void matrix(const py::object& x_object, const py::object& z_object, const py::object& out_object, gpu::Entries entries,
            double gamma, const Gpu& gpu, const Allocate& allocate) {
  const Array x(x_object, "x", Access::read, &gpu);
  const Array z(z_object, "y", Access::read, &gpu);
  const Array out(out_object, "out", Access::write, &gpu);
  if (is_empty(out)) return;
  with_type_of(x, [&]<class T>(T) {
    queue_with_scratch(gpu, allocate, [&](gpu::Scratch& memory) {
      gpu::queue_matrix(batch<T>(x), batch<T>(z), batches_of(x), entries, gamma, out.data<T>(), memory, stream_of(gpu));
    });
  });
}

void matvec(const py::object& x_object, const py::object& z_object, const py::object& coef_object,
            const py::object& out_object, const std::vector<double>& gammas, bool medium, const Gpu& gpu,
            const Allocate& allocate) {
  const Array x(x_object, "x", Access::read, &gpu);
  const Array z(z_object, "z", Access::read, &gpu);
  const Array coef(coef_object, "coef", Access::read, &gpu);
  const Array out(out_object, "out", Access::write, &gpu);
  if (is_empty(out)) return;
  const auto products = medium ? gpu::Products::medium : gpu::Products::high;
  with_type_of(x, [&]<class T>(T) {
    queue_with_scratch(gpu, allocate, [&](gpu::Scratch& memory) {
      gpu::queue_matvec(batch<T>(x), batch<T>(z), columns<T>(coef, x.ndim() - 2), batches_of(x), gammas.data(), products,
                        out.data<T>(), memory, stream_of(gpu));
    });
  });
}

void smallest_difference(const py::object& pred_object, const py::object& target_object, const py::object& out_object,
                         const Gpu& gpu, const Allocate& allocate) {
  const Array pred(pred_object, "pred", Access::read, &gpu);
  const Array target(target_object, "target", Access::read, &gpu);
  const Array out(out_object, "out", Access::write, &gpu);
  if (pred.shape(0) > gpu::kMostElements) {
    throw py::value_error("pred must have fewer than 2^32 elements on a GPU; select from parts of it.");
  }
  if (is_empty(out)) return;
  with_type_of(pred, [&]<class T>(T) {
    queue_with_scratch(gpu, allocate, [&](gpu::Scratch& memory) {
      gpu::queue_smallest_difference(pred.vector<T>(), target.vector<T>(), out.shape(0), out.data<std::int64_t>(), memory,
                                     stream_of(gpu));
    });
  });
}

// Of each device its name and compute capability; throws where there is no driver for one.
using Device = std::pair<std::string, std::pair<int, int>>;
std::vector<Device> devices() {
  int driver = 0;
  gpu::check(cudaDriverGetVersion(&driver), "The driver's version");
  if (driver == 0) throw gpu::CudaError("there is no NVIDIA driver");
  int count = 0;
  gpu::check(cudaGetDeviceCount(&count), "Looking for GPUs");
  std::vector<Device> found;
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    gpu::check(cudaGetDeviceProperties(&properties, device), "A device's properties");
    found.push_back({properties.name, {properties.major, properties.minor}});
  }
  return found;
}

}  // namespace
}  // namespace ssiqa

PYBIND11_MODULE(_cuda, m) {
  using namespace ssiqa;
  m.doc() = "Kernels of ssiqa for GPUs; use ssiqa.kernels, which validates and allocates.";
  py::register_exception<gpu::CudaError>(m, "CudaError", PyExc_RuntimeError);
  py::class_<Gpu>(m, "Gpu").def(py::init<int, std::intptr_t>(), py::arg("device"), py::arg("stream"));
  m.def("devices", devices);
  // Of the current device, with this build.
  m.def("instructions", [] {
    return gpu::has_wgmma() ? std::vector<std::string>{"mma", "wgmma"} : std::vector<std::string>{"mma"};
  });
  m.def("architectures", [] { return SSIQA_CUDA_ARCHITECTURES; });
  m.def("compiler", [] { return SSIQA_CUDA_COMPILER; });
  m.def("squared_distances",
        [](const py::object& x, const py::object& y, const py::object& out, const Gpu& gpu, const Allocate& allocate) {
          matrix(x, y, out, gpu::Entries::distances, 0, gpu, allocate);
        });
  m.def("rbf_kernel", [](const py::object& x, const py::object& y, const py::object& out, double gamma, const Gpu& gpu,
                         const Allocate& allocate) { matrix(x, y, out, gpu::Entries::kernel, gamma, gpu, allocate); });
  m.def("rbf_matvec", matvec);
  m.def("smallest_difference", smallest_difference);
}
