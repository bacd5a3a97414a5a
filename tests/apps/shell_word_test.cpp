#include "apps/shell_word.h"

#include <gtest/gtest.h>

namespace llm {
namespace {

TEST(ShellWord, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(shell_word("runs/first-1.0_a"), "runs/first-1.0_a");
  EXPECT_EQ(shell_word("a b/ü run"), "'a b/ü run'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace llm
