/* SPDX-License-Identifier: MIT
 *
 * What some of the modules are linked to, and what is not there when they are loaded. */
__attribute__((visibility("default"))) int xrt_of_a_test(void);
__attribute__((visibility("default"))) int library_of_next_year(void);

int xrt_of_a_test(void) {
    return 0;
}

int library_of_next_year(void) {
    return 0;
}
