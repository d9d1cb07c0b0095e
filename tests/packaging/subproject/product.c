/* SPDX-License-Identifier: MIT */
#include <npuenc/npuenc.h>
#include <stdio.h>

/* Prints the version and a product: 1 x 2 by 2 x 1. */
int main(void) {
    static const float a[2] = {2, 3}, b[2] = {5, 7};
    npuenc_matmul_desc desc = {sizeof desc};
    npuenc_open_options options = {sizeof options};
    npuenc_ctx* ctx = NULL;
    float c = 0;
    int32_t status;

    desc.a_type = desc.b_type = desc.c_type = NPUENC_F32;
    desc.m = desc.n = 1;
    desc.k = 2;
    options.device_type = NPUENC_DEVICE_CPU;
    status = npuenc_open(&options, &ctx);
    if (status == NPUENC_OK)
        status = npuenc_matmul(ctx, &desc, a, sizeof a, b, sizeof b, &c, sizeof c, NULL);
    npuenc_close(ctx);
    printf("%s %s %g\n", npuenc_version_string(), npuenc_status_string(status), c);
    return status == NPUENC_OK ? 0 : 1;
}
