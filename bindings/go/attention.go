// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"

	"npuenc/internal/raw"
)

// Mask says which keys a query sees.
type Mask int32

const (
	MaskNone       Mask = raw.NPUENC_MASK_NONE
	MaskKeyLengths Mask = raw.NPUENC_MASK_KEY_LENGTHS // item i sees its first KeyLengths[i] keys only
	MaskCausal     Mask = raw.NPUENC_MASK_CAUSAL      // query i sees key j when j <= i + KVLen - QLen
	MaskAdd        Mask = raw.NPUENC_MASK_ADD_F32     // AddMask is added to the scores; negative infinity hides a key
)

// AttentionOptions describes out = softmax(q k^T * Scale + mask) v for every item and head. q and out
// are [Batch][QLen][Heads][HeadDim], k and v [Batch][KVLen][Heads][HeadDim], with LD elements from
// position to position and length * LD from item to item.
type AttentionOptions struct {
	Batch          int // 0: 1
	Heads, HeadDim int // at least 1
	QLen, KVLen    int // may be 0

	Mask       Mask
	KeyLengths []uint32  // [Batch], each at most KVLen, for MaskKeyLengths; else nil
	AddMask    []float32 // [Batch or 1][Heads or 1][QLen][KVLen] for MaskAdd; else nil
	PerItem    bool      // AddMask has its own for every item
	PerHead    bool      // and for every head

	Scale                          float32 // of the scores: finite, 0: 1 / sqrt(HeadDim)
	QScale, KScale, VScale, OScale float32 // int8: positive and finite, 0: 1; else 0

	LDQ, LDK, LDV, LDO int // at least Heads * HeadDim; 0: that

	Run *Run // watches the call; may be nil
}

func (o *AttentionOptions) raw(dtype int32) (raw.Npuenc_attention_desc, error) {
	var n sizes
	if o.KeyLengths != nil && o.AddMask != nil {
		n.err = invalid("both KeyLengths and AddMask are given")
	}
	return raw.Npuenc_attention_desc{
		Struct_size: structSize[raw.Npuenc_attention_desc](),
		Type:        dtype,
		Batch:       n.u32("Batch", o.Batch),
		N_head:      n.u32("Heads", o.Heads),
		Head_dim:    n.u32("HeadDim", o.HeadDim),
		Q_len:       n.u32("QLen", o.QLen),
		Kv_len:      n.u32("KVLen", o.KVLen),
		Mask:        int32(o.Mask),
		Flags: flag(o.PerItem, raw.NPUENC_ATTENTION_MASK_PER_ITEM) |
			flag(o.PerHead, raw.NPUENC_ATTENTION_MASK_PER_HEAD),
		Scale:     o.Scale,
		Q_scale:   o.QScale,
		K_scale:   o.KScale,
		V_scale:   o.VScale,
		Out_scale: o.OScale,
		Ldq:       n.u64("LDQ", o.LDQ),
		Ldk:       n.u64("LDK", o.LDK),
		Ldv:       n.u64("LDV", o.LDV),
		Ldo:       n.u64("LDO", o.LDO),
	}, n.err
}

// Attention computes attention into out. A query that sees no key gives zeros.
//
//	float32   float32 throughout
//	BF16      products of BF16 with float32 sums, softmax in float32, probabilities and results
//	          rounded to BF16
//	int8      a real value is its integer times its scale; products of q and k exact, softmax in
//	          float32, probabilities rounded to BF16; results clamp(rint(real / OScale), -128, 127)
func Attention[T float32 | BF16 | int8](ctx context.Context, d *Device, q, k, v, out []T,
	options AttentionOptions) error {
	desc, err := options.raw(dtype[T]())
	if err != nil {
		return err
	}
	mask, maskBytes := first(options.KeyLengths), size(options.KeyLengths)
	if options.AddMask != nil {
		mask, maskBytes = first(options.AddMask), size(options.AddMask)
	}
	return d.operate(ctx, options.Run, func(word raw.Ctx, run raw.Run) int32 {
		return raw.Npuenc_attention(word, &desc, first(q), size(q), first(k), size(k), first(v),
			size(v), mask, maskBytes, first(out), size(out), run)
	})
}
