#include "base/named_output.h"

#include "base/atomic_file.h"
#include "base/file_io.h"
#include "base/new_folders.h"

namespace llm {

void write_named_output(const std::filesystem::path& file, std::string_view content) {
  NewFolders folders(file.parent_path());
  if (file.has_parent_path()) make_directories(file.parent_path());
  remove_leftovers_of(file);
  write_file_atomically(file, content);
  folders.keep();
}

}  // namespace llm
