// What stands before every handler: the key, then the rate.
//
// A caller counts by its key, or by its address where no keys are set. Wrong keys count against
// their address, so that guessing is slowed too. Routes of Scope::open pass; a path that is no
// route asks for any key, so that strangers learn nothing of what is there.
#pragma once

#include "serving/http/api_keys.h"
#include "serving/http/rate_limit.h"
#include "serving/http/router.h"

namespace llm::http {

/// For Router::set_gate. Both must outlive the router.
Router::Gate make_gate(const ApiKeys& keys, RateLimiter& rates);

}  // namespace llm::http
