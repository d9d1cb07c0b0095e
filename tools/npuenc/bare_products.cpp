// SPDX-License-Identifier: MIT
#include "bare_products.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>

#include "abi/stats.hpp"
#include "aligned_buffer.hpp"
#include "cpu/cpu_device.hpp"
#include "cpu/thread_pool.hpp"
#include "failure.hpp"
#include "npu/module.hpp"
#include "npu/product.hpp"
#include "npu/timer.hpp"
#include "npu/weight.hpp"
#include "pseudo_random.hpp"

namespace npuenc {
namespace {

size_t operand_bytes(const GemmOverlay& overlay) {
    return overlay.operand_type == NPUENC_S8 ? 1 : 2;
}

// Bytes of any int8, or bf16 of magnitudes from 0.5 to 2. No constant will do: on one machine that
// was written twice as fast.
void fill_operand(const GemmOverlay& overlay, AlignedBuffer& operand) {
    PseudoRandom random(1);
    const bool bf16 = overlay.operand_type == NPUENC_BF16;
    const uint64_t kept = bf16 ? 0x80ff80ff80ff80ff : ~uint64_t{0};
    const uint64_t set = bf16 ? 0x3f003f003f003f00 : 0;
    for (size_t i = 0; i + sizeof(uint64_t) <= operand.bytes(); i += sizeof(uint64_t)) {
        const uint64_t values = (random.next() & kept) | set;
        std::memcpy(operand.as<char>() + i, &values, sizeof values);
    }
}

// With a random weight.
class BareProduct {
  public:
    BareProduct(Array& array, const LinearProduct& of, Product::B b, Parallel& threads)
        : product_(*of.overlay, of.rows, of.n_out, of.depth, b),
          weight_(array.buffers().create(product_.b_bytes())) {
        AlignedBuffer columns(core_tile * of.depth * operand_bytes(*of.overlay)); // of each strip
        fill_operand(*of.overlay, columns);
        const unsigned right_shift = shifts(*of.overlay) ? 8 : 0; // to int16 of all magnitudes
        threads.for_each(product_.strips(), [&](size_t strip, unsigned) {
            product_.pack_b_strip(strip, columns.data(), product_.k(), BLayout::n_by_k, right_shift,
                                  weight_.data());
            if (is_next_a(*of.overlay))
                product_.pack_gelu_tile(strip, nullptr, weight_.data());
        });
        weight_.sync(npuenc_module_to_device, 0, weight_.bytes(), threads);
    }

    const Product& product() const { return product_; }
    DevicePart weight() const { return {&weight_, 0, weight_.bytes()}; }

  private:
    const Product product_;
    const DeviceBuffer weight_;
};

class BareChain {
  public:
    BareChain(Array& array, const ProductChain& of, Parallel& threads)
        : array_(array),
          first_(array, of.front(), of.size() > 1 ? Product::B::first_of_chain : Product::B::weight,
                 threads),
          rows_(band_rows * of.front().depth * operand_bytes(*of.front().overlay)) {
        fill_operand(*of.front().overlay, rows_);
        if (of.size() > 1)
            second_.emplace(array, of.back(), Product::B::second_of_chain, threads);
    }

    void run(Parallel& threads, Stats& stats) const {
        const Timer of_all(stats.wall_ns);
        const Product& in = first_.product();
        const Product& out = second_ ? second_->product() : in;
        std::optional<BufferPool::Lease> between;
        Submission submission(array_, in.a_bytes(), out.c_bytes());
        const DevicePart a = submission.input(0, in.a_bytes()),
                         c = submission.output(0, out.c_bytes());
        if (second_) {
            between.emplace(array_.buffers(), in.c_bytes());
            const DevicePart hidden{&between->buffer(), 0, in.c_bytes()};
            in.add_to(submission, array_, a, first_.weight(), hidden);
            out.add_to(submission, array_, hidden, second_->weight(), c, &in);
        } else {
            in.add_to(submission, array_, a, first_.weight(), c);
        }
        {
            const Timer timer(stats.pack_ns);
            in.pack_a_by_tasks(threads, [&](size_t band, unsigned) {
                in.pack_a_band(band, rows_.as<char>(), in.k(), submission.inputs());
            });
        }
        submission.run(Written::past_caches, threads, stats);
        const Timer timer(stats.unpack_ns);
        threads.for_each(out.c_tasks(), [&](size_t task, unsigned) {
            alignas(cache_line) char of_band[band_rows * output_group * sizeof(int32_t)];
            out.for_each_c_band(task, [&](const CBand&, size_t offset) {
                out.add_up_c_band(unpack_, offset, submission.outputs(), of_band, output_group);
            });
        });
    }

  private:
    Array& array_;
    const npuenc_unpack unpack_ = select_kernels(nullptr).unpack;
    const BareProduct first_;
    std::optional<BareProduct> second_;
    AlignedBuffer rows_; // the same in each band
};

uint64_t cpu_ns_of_thread() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// All products once.
struct Turn {
    Stats stats;
    uint64_t cpu_ns = 0; // of this thread
};

uint64_t outside_ns(const Stats& stats) {
    return stats.wall_ns - std::min(stats.wall_ns, stats.device_ns);
}

} // namespace

std::vector<ProductChain> linear_products(const npuenc_run* run, const npuenc_model_info& model) {
    std::vector<ProductChain> chains;
    uint32_t count = 0;
    check(npuenc_run_op_count(run, &count));
    for (uint32_t i = 0; i < count; ++i) {
        npuenc_op_info op{};
        op.struct_size = sizeof op;
        check(npuenc_run_op_get(run, i, &op));
        const std::string_view name = op.name;
        if (op.device_type != NPUENC_DEVICE_NPU || name == "attention")
            continue;
        const auto precision = static_cast<npuenc_precision>(op.precision);
        uint64_t macs = 0;
        // In 16 bits, as the encoder asks for where the precision allows.
        const bool in_16_bits = precision != NPUENC_PRECISION_BF16X2;
        const auto add = [&](size_t rows, size_t n_out, size_t n_in) {
            chains.push_back({{&linear_overlay(precision, in_16_bits), rows, n_out,
                               linear_depth(precision, in_16_bits, n_in)}});
            macs += uint64_t{rows} * n_out * n_in;
        };
        const auto add_mlp = [&](size_t rows, size_t n, size_t n_hidden) {
            chains.push_back({{&gemm_bf16_gelu, rows, n_hidden, n},
                              {&gemm_bf16_f32, rows, n, depth_of_stayed(n_hidden)}});
            macs += 2 * uint64_t{rows} * n * n_hidden;
        };
        const size_t rows = model.n_ctx, n = model.n_state;
        if (name == "conv1")
            add(2 * rows, n, 3 * size_t{model.n_mels});
        else if (name == "conv2")
            add(rows, n, 3 * n);
        else if (name == "qkv")
            add(rows, 3 * n, n);
        else if (name == "attention out")
            add(rows, n, n);
        else if (name == "mlp" && precision == NPUENC_PRECISION_BF16)
            add_mlp(rows, n, 4 * n);
        else if (name == "mlp") {
            add(rows, 4 * n, n);
            add(rows, n, 4 * n);
        }
        if (macs != op.macs)
            fail(exit_failed, "operator %s has %llu multiply-adds, not %llu", op.name,
                 static_cast<unsigned long long>(op.macs), static_cast<unsigned long long>(macs));
    }
    npuenc_stats stats{};
    stats.struct_size = sizeof stats;
    check(npuenc_run_stats(run, &stats));
    if (stats.n_submissions != chains.size())
        fail(exit_failed, "an encode has %llu submissions, not %zu",
             static_cast<unsigned long long>(stats.n_submissions), chains.size());
    return chains;
}

BareProducts::BareProducts(const char* bus_address, unsigned n_threads)
    : array_(Session(Module::instance().functions(), bus_address), OverlayCatalog(),
             Array::default_most_bytes),
      n_threads_(n_threads) {}

// A warm-up, and the best of three, on all threads and on one.
BareCost BareProducts::measure(const std::vector<ProductChain>& chains) {
    ThreadPool pool(n_threads_);
    Serial one;
    std::vector<std::unique_ptr<BareChain>> ready;
    BareCost cost;
    for (const ProductChain& chain : chains) {
        ready.push_back(std::make_unique<BareChain>(array_, chain, pool));
        cost.n_syncs += chain.size();
    }
    const auto run = [&](Parallel& threads) {
        Turn once;
        for (const std::unique_ptr<BareChain>& chain : ready) {
            const uint64_t before = cpu_ns_of_thread();
            chain->run(threads, once.stats);
            once.cpu_ns += cpu_ns_of_thread() - before;
        }
        cost.n_submissions += once.stats.n_submissions;
        cost.n_syncs += once.stats.n_syncs;
        return once;
    };
    run(pool);
    for (int i = 0; i < 3; ++i) {
        const Stats stats = run(pool).stats;
        if (i == 0 || outside_ns(stats) < cost.outside_ns) {
            cost.wall = public_stats(stats);
            cost.outside_ns = outside_ns(stats);
        }
        const uint64_t spent = run(one).cpu_ns;
        cost.cpu_ns = i == 0 ? spent : std::min(cost.cpu_ns, spent);
    }
    return cost;
}

} // namespace npuenc
