// SPDX-License-Identifier: MIT
#include "xrt/silence.hpp"

#include <pthread.h>

#include <atomic>
#include <iostream>
#include <mutex>
#include <streambuf>

namespace npuenc::module {
namespace {

thread_local unsigned silences = 0; // of this thread

// Stands before a stream's own buffer, and passes on what comes from threads that are not silent.
class Filter final : public std::streambuf {
  public:
    explicit Filter(std::ostream& stream) : stream_(stream) {}

    void install() {
        // A stream that has failed takes nothing, and would be good again with another buffer.
        if (!stream_.good() || stream_.rdbuf() == this)
            return;
        own_ = stream_.rdbuf();
        stream_.rdbuf(this);
    }

    // Unless the program has given the stream another buffer meanwhile.
    void remove() {
        if (stream_.rdbuf() == this)
            stream_.rdbuf(own_);
    }

  private:
    int_type overflow(int_type c) override {
        if (silences || traits_type::eq_int_type(c, traits_type::eof()))
            return traits_type::not_eof(c);
        return own_.load()->sputc(traits_type::to_char_type(c));
    }

    std::streamsize xsputn(const char* text, std::streamsize n) override {
        return silences ? n : own_.load()->sputn(text, n);
    }

    int sync() override { return silences ? 0 : own_.load()->pubsync(); }

    std::ostream& stream_;
    std::atomic<std::streambuf*> own_ =
        nullptr; // threads that have begun to write may still use it
};

// The filters, and how many want them.
class Filters {
  public:
    Filters() {
        // A child has no thread that is silent, and must not find the lock taken.
        pthread_atfork([] { filters->mutex_.lock(); }, [] { filters->mutex_.unlock(); },
                       [] {
                           filters->silences_ = 0;
                           filters->remove();
                           filters->mutex_.unlock();
                       });
    }

    void begin() {
        const std::lock_guard lock(mutex_);
        if (silences_++ == 0) {
            output_.install();
            errors_.install();
        }
    }

    void end() {
        const std::lock_guard lock(mutex_);
        if (--silences_ == 0)
            remove();
    }

    // Never destroyed: a thread may be silent while the process exits.
    static Filters* const filters;

  private:
    void remove() {
        output_.remove();
        errors_.remove();
    }

    std::mutex mutex_;
    int silences_ = 0;
    Filter output_{std::cout}, errors_{std::cerr};
};

Filters* const Filters::filters = new Filters;

} // namespace

Silence::Silence() noexcept {
    ++silences;
    Filters::filters->begin();
}

Silence::~Silence() {
    Filters::filters->end();
    --silences;
}

} // namespace npuenc::module
