#include "base/wrong_content.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(WrongContent, PointersAndPagesAreNamed) {
  expect_error(
      [] { refuse_wrong_content("version https://git-lfs.github.com/spec/v1\noid", 134, "x"); },
      Exit::bad_input, "'x' is a Git LFS pointer (134 bytes), not the file", "git lfs pull");
  for (const char* page :
       {"<!DOCTYPE html>", "<html>", "<HTML lang=en>", "\xEF\xBB\xBF \n<Html>"}) {
    expect_error([&] { refuse_wrong_content(page, 20, "x"); }, Exit::bad_input,
                 "'x' looks like an HTML page; the download failed");
  }
}

TEST(WrongContent, AnythingElseIsLeftToItsReader) {
  for (const char* start : {"", " \n", "{}", "GGUF", "<xml>", "version 1", "version https://git"}) {
    EXPECT_NO_THROW(refuse_wrong_content(start, 1'000'000, "x")) << start;
  }
}

}  // namespace
}  // namespace llm
