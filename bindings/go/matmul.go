// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"

	"npuenc/internal/raw"
)

// MatMulOptions says what is multiplied: c[i] = a[i] b[i] for i < Batch, all row-major: a is [M][K],
// b [K][N], c [M][N].
type MatMulOptions struct {
	Batch   int // 0: 1
	M, N, K int // may be 0; K = 0 gives sums of zero

	BTransposed bool // b is [N][K]
	BShared     bool // one b for the whole batch; StrideB must be 0

	Scale     float32 // for int8 results: finite, 0: 1; else 0
	ZeroPoint int     // for int8 results: -128 to 127; else 0

	// Elements from row to row, at least the row's length; 0: that.
	LDA, LDB, LDC int
	// Elements from item to item, at least an item's span; 0: rows * leading dimension.
	StrideA, StrideB, StrideC int

	Run *Run // watches the call; may be nil
}

func (o *MatMulOptions) raw(operand, result int32) (raw.Npuenc_matmul_desc, error) {
	var n sizes
	if o.ZeroPoint < -128 || o.ZeroPoint > 127 {
		n.fail("ZeroPoint", o.ZeroPoint)
	}
	return raw.Npuenc_matmul_desc{
		Struct_size: structSize[raw.Npuenc_matmul_desc](),
		A_type:      operand,
		B_type:      operand,
		C_type:      result,
		Batch:       n.u32("Batch", o.Batch),
		M:           n.u32("M", o.M),
		N:           n.u32("N", o.N),
		K:           n.u32("K", o.K),
		Flags: flag(o.BTransposed, raw.NPUENC_MATMUL_B_TRANSPOSED) |
			flag(o.BShared, raw.NPUENC_MATMUL_B_SHARED),
		Scale:      o.Scale,
		Zero_point: int32(o.ZeroPoint),
		Lda:        n.u64("LDA", o.LDA),
		Ldb:        n.u64("LDB", o.LDB),
		Ldc:        n.u64("LDC", o.LDC),
		Stride_a:   n.u64("StrideA", o.StrideA),
		Stride_b:   n.u64("StrideB", o.StrideB),
		Stride_c:   n.u64("StrideC", o.StrideC),
	}, n.err
}

// MatMul multiplies matrices into c. The types and how they are computed:
//
//	float32 -> float32   float32 sums
//	BF16    -> float32   float32 sums of exact products
//	BF16    -> BF16      the same, rounded to nearest even
//	int8    -> int32     exact, modulo 2^32
//	int8    -> int8      clamp(rint(sum * Scale) + ZeroPoint, -128, 127)
//
// Others are ErrInvalid.
func MatMul[Operand float32 | BF16 | int8, Result float32 | BF16 | int32 | int8](
	ctx context.Context, d *Device, a, b []Operand, c []Result, options MatMulOptions) error {
	desc, err := options.raw(dtype[Operand](), dtype[Result]())
	if err != nil {
		return err
	}
	return d.operate(ctx, options.Run, func(word raw.Ctx, run raw.Run) int32 {
		return raw.Npuenc_matmul(word, &desc, first(a), size(a), first(b), size(b), first(c), size(c),
			run)
	})
}
