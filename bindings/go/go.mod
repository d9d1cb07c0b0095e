// SPDX-License-Identifier: MIT
module npuenc

go 1.21
