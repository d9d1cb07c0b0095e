/* SPDX-License-Identifier: MIT
 *
 * The header as it is, for SWIG's parse tree (swig -xml), from which the raw layer of Rust is
 * written and which the tests take for the list of what there is.
 */
%module npuenc
%include <stdint.i>
%include <npuenc/npuenc.h>
