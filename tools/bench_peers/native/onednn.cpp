/* SPDX-License-Identifier: MIT
 *
 * oneDNN's products for the worker: one case a process. Weights of linear layers are reordered
 * beforehand into the layout that oneDNN asks for; the operands of other products stay as they lie.
 */
#include <dnnl.hpp>

#include <cmath>
#include <exception>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using dnnl::memory;
using Dims = memory::dims;
using Type = memory::data_type;
using Arguments = std::unordered_map<int, memory>;

struct State {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::vector<std::pair<dnnl::primitive, Arguments>> steps;
    std::string error, version;
};

State& state() {
    static State the_state;
    return the_state;
}

Type type_of(int type) {
    return type == 0 ? Type::f32 : type == 1 ? Type::bf16 : Type::s8;
}

/* Sums of floats stay floats. */
Type sums_of(Type type) {
    return type == Type::s8 ? Type::s32 : Type::f32;
}

memory matrix(const Dims& dims, Type type, const Dims& strides, void* data) {
    return {memory::desc(dims, type, strides), state().engine, data};
}

memory matrix(const memory::desc& desc) {
    return {desc, state().engine};
}

/* c = a b as the next step. With `pack`, b is first brought into oneDNN's own layout. */
void add_product(const memory& a, memory b, const memory& c, bool pack,
                 const dnnl::primitive_attr& attributes = {}, const Arguments& more = {}) {
    const memory::desc given = b.get_desc();
    const memory::desc asked =
        pack ? memory::desc(given.get_dims(), given.get_data_type(), memory::format_tag::any)
             : given;
    const dnnl::matmul::primitive_desc desc(state().engine, a.get_desc(), asked, c.get_desc(),
                                            attributes);
    memory packed = b;
    if (desc.weights_desc() != given) {
        packed = matrix(desc.weights_desc());
        dnnl::reorder(b, packed).execute(state().stream, b, packed);
        state().stream.wait();
    }
    Arguments arguments{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, c}};
    arguments.insert(more.begin(), more.end());
    state().steps.emplace_back(dnnl::matmul(desc), arguments);
}

/* Rows of f32 in steps of s8, of the size that `scales` says. */
void add_quantisation(const memory& x, const memory& quantised, const memory& scales) {
    dnnl::primitive_attr attributes;
    attributes.set_scales_mask(DNNL_ARG_DST, 1);
    const dnnl::reorder::primitive_desc desc(state().engine, x.get_desc(), state().engine,
                                             quantised.get_desc(), attributes);
    state().steps.emplace_back(dnnl::reorder(desc),
                               Arguments{{DNNL_ARG_FROM, x},
                                         {DNNL_ARG_TO, quantised},
                                         {DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST, scales}});
}

void add_softmax(const memory& scores, const memory& chances) {
    const dnnl::softmax_forward::primitive_desc desc(
        state().engine, dnnl::prop_kind::forward_inference, dnnl::algorithm::softmax_accurate,
        scores.get_desc(), chances.get_desc(), 2);
    state().steps.emplace_back(dnnl::softmax_forward(desc),
                               Arguments{{DNNL_ARG_SRC, scores}, {DNNL_ARG_DST, chances}});
}

/* Multiplies by a constant, now. */
void scale(const memory& x, float factor) {
    const dnnl::eltwise_forward::primitive_desc desc(
        state().engine, dnnl::prop_kind::forward_inference, dnnl::algorithm::eltwise_linear,
        x.get_desc(), x.get_desc(), factor, 0.0F);
    dnnl::eltwise_forward(desc).execute(state().stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x}});
    state().stream.wait();
}

template <class Work>
int guarded(Work work) {
    try {
        work();
        return 1;
    } catch (const std::exception& error) {
        state().error = error.what();
        return 0;
    }
}

} // namespace

extern "C" {

const char* peer_version(void) {
    const dnnl_version_t& version = *dnnl_version();
    state().version = std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
                      std::to_string(version.patch);
    return state().version.c_str();
}

const char* peer_error(void) {
    return state().error.c_str();
}

/* packed: b is [n][k] and packed; else [batch][k][n]. */
int peer_product(int type, int packed, int batch, int m, int k, int n, void* a, void* b, void* c) {
    return guarded([&] {
        const Type t = type_of(type);
        if (packed) {
            add_product(matrix({m, k}, t, {k, 1}, a), matrix({k, n}, t, {1, k}, b),
                        matrix({m, n}, sums_of(t), {n, 1}, c), true);
        } else if (batch == 1) {
            add_product(matrix({m, k}, t, {k, 1}, a), matrix({k, n}, t, {n, 1}, b),
                        matrix({m, n}, sums_of(t), {n, 1}, c), false);
        } else {
            const memory::dim mk = memory::dim{m} * k, kn = memory::dim{k} * n,
                              mn = memory::dim{m} * n;
            add_product(matrix({batch, m, k}, t, {mk, k, 1}, a),
                        matrix({batch, k, n}, t, {kn, n, 1}, b),
                        matrix({batch, m, n}, sums_of(t), {mn, n, 1}, c), false);
        }
    });
}

/* A layer of int8: x [m][k] of f32 is quantised by rows, row_scales [m], and multiplied by b
 * [n][k], which is packed and has scales [n] too. c [m][n] of f32 still has to be multiplied by the
 * scales of its rows: with them oneDNN 3.2 takes its plain product, which is thousands of times
 * slower. */
int peer_quantised_linear(int m, int k, int n, void* x, void* row_scales, void* b,
                          void* column_scales, void* c) {
    return guarded([&] {
        const memory quantised = matrix(memory::desc({m, k}, Type::s8, Dims{k, 1}));
        add_quantisation(matrix({m, k}, Type::f32, {k, 1}, x), quantised,
                         matrix({m}, Type::f32, {1}, row_scales));
        dnnl::primitive_attr attributes;
        attributes.set_scales_mask(DNNL_ARG_WEIGHTS, 1 << 1);
        add_product(quantised, matrix({k, n}, Type::s8, {1, k}, b),
                    matrix({m, n}, Type::f32, {n, 1}, c), true, attributes,
                    {{DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                      matrix({n}, Type::f32, {1}, column_scales)}});
    });
}

/* Operands are [position][head][channel]; the queries are multiplied by 1/sqrt(channels) here,
 * which is not timed. Between the steps everything has the type of the operands. */
int peer_attention(int type, int heads, int queries, int keys, int channels, void* q, void* k,
                   void* v, void* out) {
    return guarded([&] {
        const Type t = type_of(type);
        const memory::dim row = memory::dim{heads} * channels;
        const memory scores =
            matrix(memory::desc({heads, queries, keys}, t, memory::format_tag::abc));
        const memory query = matrix({heads, queries, channels}, t, {channels, row, 1}, q);
        scale(query, 1 / std::sqrt(static_cast<float>(channels)));
        add_product(query, matrix({heads, channels, keys}, t, {channels, 1, row}, k), scores,
                    false);
        add_softmax(scores, scores);
        add_product(scores, matrix({heads, keys, channels}, t, {channels, row, 1}, v),
                    matrix({heads, queries, channels}, t, {channels, row, 1}, out), false);
    });
}

int peer_run(void) {
    return guarded([] {
        for (auto& [primitive, arguments] : state().steps)
            primitive.execute(state().stream, arguments);
        state().stream.wait();
    });
}
}
