// The kernels of the family random for CUDA.
#include <optional>
#include <type_traits>

#include "cuda/common/runtime.h"
#include "cuda/random/draws.h"
#include "cuda/random/noise.h"

namespace sorgum {
namespace cuda {

namespace {

using namespace sorgum::SORGUM_ISA;

using WarpGroup = DeviceGroup<kWarp>;
using BlockGroup = DeviceGroup<kBlock>;

constexpr index_t kWarps = kBlock / kWarp;

template <Purpose law, bool wide, class T>
__global__ void __launch_bounds__(kBlock) noise_kernel(const __grid_constant__ NoiseRows<T> r, index_t groups) {
    for (index_t group = blockIdx.x; group < groups; group += gridDim.x)
        noise_group<law, wide>(BlockGroup(), r, group);
}

template <class X>
__global__ void __launch_bounds__(kBlock, 2) warp_draws_kernel(const __grid_constant__ DrawRows<X> r) {
    __shared__ DrawShared<WarpGroup> shared[kWarps];
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    for (index_t draw = blockIdx.x * kWarps + warp; draw < r.rows * r.samples; draw += gridDim.x * kWarps)
        draw_row(WarpGroup(), r, draw, shared[warp]);
}

template <class X>
__global__ void __launch_bounds__(kBlock, 2) block_draws_kernel(const __grid_constant__ DrawRows<X> r) {
    __shared__ DrawShared<BlockGroup> shared;
    for (index_t draw = blockIdx.x; draw < r.rows * r.samples; draw += gridDim.x)
        draw_row(BlockGroup(), r, draw, shared);
}

template <class X>
__global__ void __launch_bounds__(kBlock, 2) draw_pieces_kernel(const __grid_constant__ DrawRows<X> r) {
    __shared__ DrawShared<BlockGroup> shared;
    draw_piece(BlockGroup(), r, blockIdx.y, blockIdx.x, shared);
}

template <class X>
__global__ void __launch_bounds__(kBlock) merge_pieces_kernel(const __grid_constant__ DrawRows<X> r) {
    __shared__ DrawShared<BlockGroup> shared;
    merge_pieces(BlockGroup(), r, blockIdx.x, shared);
}

// ---- the host's side ----

// The places of rows on the device, for the time of a call.
class DevicePlaces {
public:
    DevicePlaces(const char* function, const RowPlaces& host, index_t rows, Stream stream) : places_(host) {
        const auto bytes = static_cast<std::size_t>(rows) * 8;
        const int arrays = (host.streams != nullptr) + (host.positions != nullptr) + (host.temperatures != nullptr);
        if (arrays == 0 || rows == 0)
            return;
        memory_.emplace(function, static_cast<std::size_t>(arrays) * bytes, stream);
        char* to = static_cast<char*>(memory_->memory());
        const auto send = [&](auto& pointer) {
            if (pointer == nullptr)
                return;
            check(function, cudaMemcpyAsync(to, pointer, bytes, cudaMemcpyHostToDevice, handle(stream)));
            pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(to);
            to += bytes;
        };
        send(places_.streams);
        send(places_.positions);
        send(places_.temperatures);
    }
    const RowPlaces& places() const { return places_; }

private:
    RowPlaces places_;
    std::optional<Workspace> memory_;
};

template <Purpose law, bool wide, class T>
void launch_law(const char* function, NoiseRows<T> r, Stream stream) {
    const DevicePlaces device(function, r.places, r.rows, stream);
    r.places = device.places();
    const index_t threads = r.rows * noise_threads<wide>(r.places.offset, r.n),
                  groups = (threads + kBlock - 1) / kBlock;
    noise_kernel<law, wide><<<grid_for(groups), kBlock, 0, handle(stream)>>>(r, groups);
    check(function, cudaGetLastError());
}

template <Purpose law, class T>
void launch_law(const char* function, bool wide, const NoiseRows<T>& r, Stream stream) {
    if (wide)
        launch_law<law, true>(function, r, stream);
    else
        launch_law<law, false>(function, r, stream);
}

template <class X>
void launch_split(const char* function, DrawRows<X> r, Stream stream) {
    const index_t draws = r.rows * r.samples;
    r.piece = piece_size(r.n);
    r.pieces = (r.n + r.piece - 1) / r.piece;
    const Workspace parts(function, static_cast<std::size_t>(draws * r.pieces) * sizeof(Draw), stream);
    r.parts = static_cast<Draw*>(parts.memory());
    const dim3 grid(static_cast<unsigned>(r.pieces), static_cast<unsigned>(draws));
    draw_pieces_kernel<<<grid, kBlock, 0, handle(stream)>>>(r);
    check(function, cudaGetLastError());
    merge_pieces_kernel<<<static_cast<unsigned>(draws), kBlock, 0, handle(stream)>>>(r);
    check(function, cudaGetLastError());
}

}  // namespace

template <class T>
void launch_noise(Purpose law, bool wide, const NoiseRows<T>& rows, Stream stream) {
    if constexpr (std::is_integral_v<T>) {
        launch_law<Purpose::bits, sizeof(T) == 8>("bits", rows, stream);
    } else if constexpr (sizeof(T) == 2) {
        launch_law<Purpose::gumbel>("gumbel", wide, rows, stream);
    } else {
        switch (law) {
            case Purpose::uniform:
                return launch_law<Purpose::uniform>("uniform", wide, rows, stream);
            case Purpose::exponential:
                return launch_law<Purpose::exponential>("exponential", wide, rows, stream);
            case Purpose::gumbel:
                return launch_law<Purpose::gumbel>("gumbel", wide, rows, stream);
            case Purpose::logistic:
                return launch_law<Purpose::logistic>("logistic", wide, rows, stream);
            case Purpose::normal:
                return launch_law<Purpose::normal>("normal", wide, rows, stream);
            default:
                return;  // not a law of single elements: no name leads here
        }
    }
}

template <class X>
std::uint64_t launch_draws(const char* function, DrawRows<X> r, bool wait, Stream stream) {
    const DevicePlaces device(function, r.places, r.rows, stream);
    r.places = device.places();
    std::uint64_t invalid = kAllValid;
    std::optional<Workspace> told;
    if (wait) {
        told.emplace(function, sizeof invalid, stream);
        r.invalid = static_cast<std::uint64_t*>(told->memory());
        check(function, cudaMemsetAsync(r.invalid, 0xFF, sizeof invalid, handle(stream)));
    }
    const index_t draws = r.rows * r.samples;
    switch (row_class(draws, r.n)) {
        case RowClass::warp:
            warp_draws_kernel<<<grid_for((draws + kWarps - 1) / kWarps), kBlock, 0, handle(stream)>>>(r);
            break;
        case RowClass::chunk:
        case RowClass::block:
            block_draws_kernel<<<grid_for(draws), kBlock, 0, handle(stream)>>>(r);
            break;
        case RowClass::split:
            launch_split(function, r, stream);
            break;
    }
    check(function, cudaGetLastError());
    if (wait) {
        check(function, cudaMemcpyAsync(&invalid, r.invalid, sizeof invalid, cudaMemcpyDeviceToHost, handle(stream)));
        check(function, cudaStreamSynchronize(handle(stream)));
    }
    return invalid;
}

template void launch_noise(Purpose, bool, const NoiseRows<std::int32_t>&, Stream);
template void launch_noise(Purpose, bool, const NoiseRows<std::int64_t>&, Stream);
template void launch_noise(Purpose, bool, const NoiseRows<float>&, Stream);
template void launch_noise(Purpose, bool, const NoiseRows<double>&, Stream);
template void launch_noise(Purpose, bool, const NoiseRows<bfloat16>&, Stream);
template std::uint64_t launch_draws(const char*, DrawRows<float>, bool, Stream);
template std::uint64_t launch_draws(const char*, DrawRows<float16>, bool, Stream);
template std::uint64_t launch_draws(const char*, DrawRows<bfloat16>, bool, Stream);

}  // namespace cuda
}  // namespace sorgum
