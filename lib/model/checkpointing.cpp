#include "model/checkpointing.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace llm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SegmentHolder : torch::CustomClassHolder {
  explicit SegmentHolder(Segment s) : segment(std::move(s)) {}
  Segment segment;
};

// The first input is an empty tensor that requires gradients, so that parameters inside receive
// theirs even if no other input does.
struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static variable_list forward(AutogradContext* context, const Segment* segment,
                               at::TensorList inputs) {
    context->saved_data["segment"] =
        c10::IValue::make_capsule(c10::make_intrusive<SegmentHolder>(*segment));
    context->save_for_backward(inputs.vec());
    at::NoGradGuard no_grad;
    return (*segment)(TensorList(inputs.begin() + 1, inputs.end()));
  }

  static variable_list backward(AutogradContext* context, variable_list output_gradients) {
    const auto holder = c10::static_intrusive_pointer_cast<SegmentHolder>(
        context->saved_data["segment"].toCapsule());
    variable_list saved = context->get_saved_variables(), inputs;
    for (size_t i = 1; i < saved.size(); ++i) {
      at::Tensor input = saved[i].detach();
      inputs.push_back(at::isFloatingType(input.scalar_type()) ? input.requires_grad_(true)
                                                               : input);
    }
    variable_list outputs;
    {
      at::AutoGradMode with_grad(true);
      outputs = holder->segment(inputs);
    }
    variable_list roots, gradients;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (output_gradients[i].defined() && outputs[i].requires_grad()) {
        roots.push_back(outputs[i]);
        gradients.push_back(output_gradients[i]);
      }
    }
    torch::autograd::backward(roots, gradients);
    variable_list input_gradients = {
        at::Tensor(), at::Tensor()};  // of the segment pointer and of the empty tensor
    for (const at::Tensor& input : inputs) {
      input_gradients.push_back(input.grad());
    }
    return input_gradients;
  }
};

}  // namespace

TensorList checkpointed(const Segment& segment, const TensorList& inputs) {
  if (!at::GradMode::is_enabled()) {
    return segment(inputs);
  }
  variable_list all = {at::empty({0}, inputs.front().options()).requires_grad_(true)};
  all.insert(all.end(), inputs.begin(), inputs.end());
  return CheckpointFunction::apply(
      &segment, at::TensorList(all));  // a plain vector would not count as differentiable inputs
}

}  // namespace llm
