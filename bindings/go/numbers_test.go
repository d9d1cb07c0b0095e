// SPDX-License-Identifier: MIT
package npuenc

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand"
	"testing"
)

// near fails when a result is further from the exact one than bound, which leaves room for the
// rounding of the comparison itself.
func near(t *testing.T, what string, got, exact, bound float64) {
	t.Helper()
	if !(math.Abs(got-exact) <= bound*(1+1e-9)) {
		t.Fatalf("%s is %g, exactly %g, at most %g apart", what, got, exact, bound)
	}
}

// products compares every element of c with what it is made of. sum and magnitude are exact: of the
// products, and of their absolute values.
func products[A float32 | BF16 | int8, C float32 | BF16 | int8 | int32](t *testing.T, d *Device,
	o MatMulOptions, compare func(t *testing.T, what string, got C, sum, magnitude float64)) {
	t.Helper()
	random := rand.New(rand.NewSource(7))
	lda, ldb, ldc := max(o.LDA, o.K), o.LDB, max(o.LDC, o.N)
	rowsB, columnsB := o.K, o.N
	if o.BTransposed {
		rowsB, columnsB = o.N, o.K
	}
	ldb = max(ldb, columnsB)
	batch := max(o.Batch, 1)
	strideA, strideB, strideC := max(o.StrideA, o.M*lda), max(o.StrideB, rowsB*ldb), max(o.StrideC, o.M*ldc)
	if o.BShared {
		strideB = 0
	}
	a := randoms[A](random, batch*strideA)
	b := randoms[A](random, max(batch*strideB, rowsB*ldb))
	c := make([]C, batch*strideC)
	if err := MatMul(background, d, a, b, c, o); err != nil {
		t.Fatal(err)
	}
	written := make([]bool, len(c))
	for i := 0; i < batch; i++ {
		for m := 0; m < o.M; m++ {
			for n := 0; n < o.N; n++ {
				sum, magnitude := 0.0, 0.0
				for k := 0; k < o.K; k++ {
					at := i*strideB + k*ldb + n
					if o.BTransposed {
						at = i*strideB + n*ldb + k
					}
					product := number(a[i*strideA+m*lda+k]) * number(b[at])
					sum += product
					magnitude += math.Abs(product)
				}
				at := i*strideC + m*ldc + n
				written[at] = true
				compare(t, fmt.Sprintf("c[%d][%d][%d]", i, m, n), c[at], sum, magnitude)
			}
		}
	}
	for at, value := range c {
		if !written[at] && value != 0 {
			t.Fatalf("element %d between the rows was written", at)
		}
	}
}

func TestMatMul(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	shapes := map[string]MatMulOptions{
		"one":        {M: 1, N: 1, K: 1},
		"odd":        {M: 5, N: 7, K: 33},
		"no k":       {M: 3, N: 2},
		"transposed": {M: 4, N: 9, K: 17, BTransposed: true},
		"batch":      {Batch: 3, M: 4, N: 5, K: 6},
		"shared":     {Batch: 2, M: 4, N: 5, K: 6, BShared: true},
		"apart": {Batch: 2, M: 3, N: 4, K: 5, LDA: 8, LDB: 9, LDC: 7, StrideA: 40, StrideB: 50,
			StrideC: 31},
	}
	for name, o := range shapes {
		o := o
		t.Run(name+" float32", func(t *testing.T) {
			products[float32, float32](t, d, o, func(t *testing.T, what string, got float32, sum, magnitude float64) {
				near(t, what, float64(got), sum, gamma(o.K)*magnitude)
			})
		})
		t.Run(name+" BF16 float32", func(t *testing.T) {
			products[BF16, float32](t, d, o, func(t *testing.T, what string, got float32, sum, magnitude float64) {
				near(t, what, float64(got), sum, gamma(o.K)*magnitude)
			})
		})
		t.Run(name+" BF16", func(t *testing.T) {
			products[BF16, BF16](t, d, o, func(t *testing.T, what string, got BF16, sum, magnitude float64) {
				off := gamma(o.K) * magnitude
				near(t, what, fromBF16(got), sum, off+roundoff[BF16]()*(math.Abs(sum)+off))
			})
		})
		t.Run(name+" int8 int32", func(t *testing.T) {
			products[int8, int32](t, d, o, func(t *testing.T, what string, got int32, sum, magnitude float64) {
				near(t, what, float64(got), sum, 0)
			})
		})
		t.Run(name+" int8", func(t *testing.T) {
			o := o
			o.Scale, o.ZeroPoint = 0x1p-9, -3
			products[int8, int8](t, d, o, func(t *testing.T, what string, got int8, sum, magnitude float64) {
				scaled := math.RoundToEven(float64(float32(sum)*o.Scale)) + float64(o.ZeroPoint)
				near(t, what, float64(got), math.Max(-128, math.Min(127, scaled)), 0)
			})
		})
	}
}

func linear[W float32 | F16 | BF16 | int8, X, Y float32 | BF16 | F16](t *testing.T, d *Device,
	precision Precision) {
	t.Helper()
	const rows, nIn, nOut, ldw, ldx, ldy = 3, 70, 9, 72, 75, 11
	random := rand.New(rand.NewSource(3))
	w, x, y := randoms[W](random, nOut*ldw), randoms[X](random, rows*ldx), make([]Y, rows*ldy)
	bias := randoms[float32](random, nOut)
	scales := make([]float32, nOut)
	for i := range scales {
		scales[i] = (1 + random.Float32()) / 128
	}
	var given []float32
	if _, ok := any(w).([]int8); ok {
		given = scales
	} else {
		for i := range scales {
			scales[i] = 1
		}
	}
	weight, err := NewWeight(d, w, given, bias, WeightOptions{NOut: nOut, NIn: nIn, LD: ldw, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	defer weight.Close()
	if err := Linear(background, weight, x, y, LinearOptions{Rows: rows, LDX: ldx, LDY: ldy}); err != nil {
		t.Fatal(err)
	}
	for r := 0; r < rows; r++ {
		largest := 0.0
		for i := 0; i < nIn; i++ {
			largest = math.Max(largest, math.Abs(number(x[r*ldx+i])))
		}
		for o := 0; o < nOut; o++ {
			sum, off := float64(bias[o]), 0.0
			magnitude := math.Abs(sum)
			for i := 0; i < nIn; i++ {
				wi, xi := number(w[o*ldw+i])*float64(scales[o]), number(x[r*ldx+i])
				sum += wi * xi
				magnitude += math.Abs(wi * xi)
				switch precision {
				case PrecisionBF16: // both operands are rounded
					off += math.Abs(wi*xi) * (2*0x1p-8 + 0x1p-16)
				case PrecisionInt8: // x to a step of the largest / 127; w is exact
					off += math.Abs(wi) * largest / 127 / 2 * (1 + 0x1p-20)
				}
			}
			// Sums in float32, bias and for int8 two scales: three more roundings.
			off += gamma(nIn+3) * (magnitude + off)
			off += roundoff[Y]() * (math.Abs(sum) + off)
			near(t, fmt.Sprintf("y[%d][%d]", r, o), number(y[r*ldy+o]), sum, off)
		}
	}
}

func TestLinear(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	t.Run("float32", func(t *testing.T) { linear[float32, float32, float32](t, d, PrecisionF32) })
	t.Run("F16 weight", func(t *testing.T) { linear[F16, float32, F16](t, d, PrecisionF32) })
	t.Run("F16 in, BF16 out", func(t *testing.T) { linear[float32, F16, BF16](t, d, PrecisionF32) })
	t.Run("BF16", func(t *testing.T) { linear[BF16, BF16, float32](t, d, PrecisionBF16) })
	t.Run("BF16 of float32", func(t *testing.T) { linear[float32, float32, float32](t, d, PrecisionBF16) })
	t.Run("int8", func(t *testing.T) { linear[int8, float32, float32](t, d, PrecisionInt8) })
}

func attention[T float32 | BF16 | int8](t *testing.T, d *Device, o AttentionOptions) {
	t.Helper()
	random := rand.New(rand.NewSource(5))
	row := o.Heads * o.HeadDim
	ldq, ldk, ldv, ldo := max(o.LDQ, row), max(o.LDK, row), max(o.LDV, row), max(o.LDO, row)
	q, k := randoms[T](random, o.Batch*o.QLen*ldq), randoms[T](random, o.Batch*o.KVLen*ldk)
	v, out := randoms[T](random, o.Batch*o.KVLen*ldv), make([]T, o.Batch*o.QLen*ldo)
	if err := Attention(background, d, q, k, v, out, o); err != nil {
		t.Fatal(err)
	}
	one := func(scale float32) float64 {
		if scale == 0 {
			return 1
		}
		return float64(scale)
	}
	scale := float64(o.Scale)
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(o.HeadDim))
	}
	scale *= one(o.QScale) * one(o.KScale)
	for i := 0; i < o.Batch; i++ {
		for h := 0; h < o.Heads; h++ {
			for n := 0; n < o.QLen; n++ {
				scores := make([]float64, o.KVLen)
				highest, wrong := math.Inf(-1), 0.0
				for j := range scores {
					sum, magnitude := 0.0, 0.0
					for c := 0; c < o.HeadDim; c++ {
						product := number(q[(i*o.QLen+n)*ldq+h*o.HeadDim+c]) *
							number(k[(i*o.KVLen+j)*ldk+h*o.HeadDim+c]) * scale
						sum += product
						magnitude += math.Abs(product)
					}
					switch o.Mask {
					case MaskKeyLengths:
						if j >= int(o.KeyLengths[i]) {
							sum = math.Inf(-1)
						}
					case MaskCausal:
						if j > n+o.KVLen-o.QLen {
							sum = math.Inf(-1)
						}
					case MaskAdd:
						at := 0
						if o.PerItem {
							at = i
						}
						if o.PerHead {
							at = at*o.Heads + h
						}
						add := float64(o.AddMask[(at*o.QLen+n)*o.KVLen+j])
						sum += add
						if !math.IsInf(add, 0) {
							magnitude += math.Abs(add)
						}
					}
					scores[j] = sum
					highest = math.Max(highest, sum)
					// The scales, the mask and the highest score are three more roundings.
					wrong = math.Max(wrong, gamma(o.HeadDim+3)*2*magnitude)
				}
				total := 0.0
				for _, score := range scores {
					if !math.IsInf(highest, 0) {
						total += math.Exp(score - highest)
					}
				}
				for c := 0; c < o.HeadDim; c++ {
					exact, magnitude := 0.0, 0.0
					for j, score := range scores {
						if total > 0 {
							term := math.Exp(score-highest) / total * number(v[(i*o.KVLen+j)*ldv+h*o.HeadDim+c])
							exact += term * one(o.VScale)
							magnitude += math.Abs(term) * one(o.VScale)
						}
					}
					// A score that is off by w changes its probability by e^w, and so does the sum of
					// all; an exponential in float32 is within 8 units in the last place, sums as ever.
					relative := math.Expm1(2*wrong) + 2*8*0x1p-23 + 2*gamma(o.KVLen+2)
					off := 0.0
					got := number(out[(i*o.QLen+n)*ldo+h*o.HeadDim+c])
					switch any(q).(type) {
					case []BF16:
						relative += 0x1p-8
						off = relative * magnitude
						off += 0x1p-8 * (math.Abs(exact) + off)
					case []int8:
						relative += 0x1p-8
						exact /= one(o.OScale)
						off = relative*magnitude/one(o.OScale) + 0.5
						exact = math.Max(-128, math.Min(127, exact))
					default:
						off = relative * magnitude
					}
					near(t, fmt.Sprintf("out[%d][%d][%d][%d]", i, n, h, c), got, exact, off)
				}
			}
		}
	}
}

func TestAttention(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	base := AttentionOptions{Batch: 2, Heads: 2, HeadDim: 8, QLen: 5, KVLen: 7}
	masks := map[string]func(*AttentionOptions){
		"none":        func(o *AttentionOptions) {},
		"causal":      func(o *AttentionOptions) { o.Mask = MaskCausal },
		"key lengths": func(o *AttentionOptions) { o.Mask, o.KeyLengths = MaskKeyLengths, []uint32{7, 0} },
		"added": func(o *AttentionOptions) {
			o.Mask, o.AddMask = MaskAdd, randoms[float32](rand.New(rand.NewSource(9)), 5*7)
			o.AddMask[3] = float32(math.Inf(-1))
		},
		"added per head": func(o *AttentionOptions) {
			o.Mask, o.PerHead = MaskAdd, true
			o.AddMask = randoms[float32](rand.New(rand.NewSource(9)), 2*5*7)
		},
		"added per item and head": func(o *AttentionOptions) {
			o.Mask, o.PerItem, o.PerHead = MaskAdd, true, true
			o.AddMask = randoms[float32](rand.New(rand.NewSource(9)), 2*2*5*7)
		},
		"apart and scaled": func(o *AttentionOptions) {
			o.LDQ, o.LDK, o.LDV, o.LDO, o.Scale = 17, 18, 19, 20, 0.5
		},
	}
	for name, mask := range masks {
		o := base
		mask(&o)
		t.Run(name+" float32", func(t *testing.T) { attention[float32](t, d, o) })
		t.Run(name+" BF16", func(t *testing.T) { attention[BF16](t, d, o) })
		t.Run(name+" int8", func(t *testing.T) {
			o := o
			o.QScale, o.KScale, o.VScale, o.OScale = 1./128, 1./64, 1./32, 1./16
			attention[int8](t, d, o)
		})
	}
}

// logMel is Whisper's log-mel by its definition, in float64.
func logMel(samples []float32, mels, frames int) []float64 {
	padded := make([]float64, 160*frames)
	for i, sample := range samples {
		padded[i] = float64(sample)
	}
	at := func(i int) float64 {
		if i < 0 {
			i = -i
		}
		if i >= len(padded) {
			i = 2*(len(padded)-1) - i
		}
		return padded[i]
	}
	toMel := func(hertz float64) float64 {
		if hertz < 1000 {
			return hertz * 3 / 200
		}
		return 15 + math.Log(hertz/1000)*27/math.Log(6.4)
	}
	toHertz := func(mel float64) float64 {
		if mel < 15 {
			return mel * 200 / 3
		}
		return 1000 * math.Exp((mel-15)*math.Log(6.4)/27)
	}
	edges := make([]float64, mels+2)
	for i := range edges {
		edges[i] = toHertz(toMel(8000) * float64(i) / float64(mels+1))
	}
	out, highest := make([]float64, mels*frames), math.Inf(-1)
	for frame := 0; frame < frames; frame++ {
		var power [201]float64
		for bin := range power {
			sum := complex(0, 0)
			for i := 0; i < 400; i++ {
				window := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/400)
				turn := cmplx.Rect(1, -2*math.Pi*float64(bin*i%400)/400)
				sum += complex(window*at(160*frame+i-200), 0) * turn
			}
			power[bin] = real(sum)*real(sum) + imag(sum)*imag(sum)
		}
		for mel := 0; mel < mels; mel++ {
			sum := 0.0
			for bin := range power {
				hertz := float64(bin) * 40
				rise := (hertz - edges[mel]) / (edges[mel+1] - edges[mel])
				fall := (edges[mel+2] - hertz) / (edges[mel+2] - edges[mel+1])
				height := math.Max(0, math.Min(rise, fall)) * 2 / (edges[mel+2] - edges[mel])
				sum += height * power[bin]
			}
			value := math.Log10(math.Max(sum, 1e-10))
			out[mel*frames+frame] = value
			highest = math.Max(highest, value)
		}
	}
	for i := range out {
		out[i] = (math.Max(out[i], highest-8) + 4) / 4
	}
	return out
}

func TestMel(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	for _, o := range []MelOptions{{Frames: 10}, {Mels: 128, Frames: 7}} {
		length, err := MelLen(o)
		if want := max(o.Mels, 80) * o.Frames; err != nil || length != want {
			t.Fatal(length, err)
		}
		samples := tone(160*o.Frames - 100)
		whole := make([]int16, len(samples))
		for i := range samples {
			whole[i] = int16(samples[i] * 32768)
			samples[i] = float32(whole[i]) / 32768
		}
		got, ofInt16 := make([]float32, length), make([]float32, length)
		if err := Mel(background, d, samples, got, o); err != nil {
			t.Fatal(err)
		}
		if err := Mel(background, d, whole, ofInt16, o); err != nil {
			t.Fatal(err)
		}
		for i, exact := range logMel(samples, max(o.Mels, 80), o.Frames) {
			near(t, fmt.Sprintf("float32's element %d", i), float64(got[i]), exact, 1e-4)
			near(t, fmt.Sprintf("int16's element %d", i), float64(ofInt16[i]), exact, 1e-4)
		}
	}
}
