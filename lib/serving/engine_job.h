// Work on the engine's thread that is no text: embeddings. It is done in pieces, one after each
// pass, so that texts that are being written go on meanwhile.
#pragma once

namespace llm {

class EngineJob {
 public:
  virtual ~EngineJob() = default;
  /// The next piece, short where others wait (not alone). False: that was the last. Must not throw.
  virtual bool piece(bool alone) = 0;
  /// Whether the next piece ends it at once, since nobody waits for it any more or its time is up:
  /// then it does not wait for those before it.
  virtual bool is_over() = 0;
  /// In place of the next piece: the engine stops.
  virtual void abandon() = 0;
};

}  // namespace llm
