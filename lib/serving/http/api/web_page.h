// The chat page at "/": web_page.html, which the build puts into the library.
#pragma once

#include <string_view>

namespace llm::api {

std::string_view web_page();

}  // namespace llm::api
