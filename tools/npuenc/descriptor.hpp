// SPDX-License-Identifier: MIT
// An open file descriptor with an owner.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace npuenc {

class Descriptor {
  public:
    explicit Descriptor(int number = -1) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0)
            close(number_);
    }

    int get() const { return number_; }

  private:
    int number_;
};

// A temporary file without a name, or Failure.
Descriptor unnamed_file();

// Writes everything; a signal that asks the command to end does so here too. Failure names `what`.
void write_all(const Descriptor& to, const void* data, size_t bytes, const char* what);

} // namespace npuenc
