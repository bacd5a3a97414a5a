// What one client may take: sizes, deadlines and counts, with the defaults that are shipped.
#pragma once

#include <chrono>
#include <cstddef>

namespace llm::http {

struct Limits {
  using Milliseconds = std::chrono::milliseconds;
  size_t header_bytes = 16 << 10;            // beyond: 431
  size_t body_bytes = 10 << 20;              // beyond: 413
  Milliseconds header_deadline{10'000};      // first byte (or connect) to the end of the header
  Milliseconds body_deadline{30'000};        // end of the header to the end of the body
  Milliseconds idle_keep_alive{60'000};      // between two requests
  Milliseconds write_stall{30'000};          // for what is written at once, plus its size at
  size_t write_bytes_per_second = 16 << 10;  //   this rate; then the client counts as gone
  size_t stream_queue_bytes = 256 << 10;     // of one stream, waiting; beyond, its texts wait too
  size_t pipelined_bytes = 64 << 10;         // taken ahead while a request is being answered
  int connections = 1024;                    // beyond: 503, then closed
  Milliseconds linger{2'000};                // for a client to read our last words
};

}  // namespace llm::http
