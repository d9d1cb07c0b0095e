/* SPDX-License-Identifier: MIT
 *
 * write-audio: writes a recording anew as flac, ogg or float (WAV of floats), for tests. Python's
 * own library writes WAV of integers only. */
#include <sndfile.h>
#include <stdio.h>
#include <string.h>

static int format_of(const char* name) {
    if (strcmp(name, "flac") == 0)
        return SF_FORMAT_FLAC | SF_FORMAT_PCM_16;
    if (strcmp(name, "ogg") == 0)
        return SF_FORMAT_OGG | SF_FORMAT_VORBIS;
    if (strcmp(name, "float") == 0)
        return SF_FORMAT_WAV | SF_FORMAT_FLOAT;
    return 0;
}

int main(int argc, char** argv) {
    if (argc != 4 || !format_of(argv[1])) {
        fprintf(stderr, "usage: write-audio flac|ogg|float IN OUT\n");
        return 2;
    }
    SF_INFO info = {0};
    SNDFILE* in = sf_open(argv[2], SFM_READ, &info);
    info.format = format_of(argv[1]);
    SNDFILE* out = in ? sf_open(argv[3], SFM_WRITE, &info) : NULL;
    if (!out) {
        fprintf(stderr, "write-audio: %s\n", sf_strerror(NULL));
        return 1;
    }
    float frame[2];
    int status = info.channels <= 2 ? 0 : 1;
    while (status == 0 && sf_readf_float(in, frame, 1) == 1)
        status = sf_writef_float(out, frame, 1) == 1 ? 0 : 1;
    sf_close(in);
    return sf_close(out) == 0 ? status : 1;
}
