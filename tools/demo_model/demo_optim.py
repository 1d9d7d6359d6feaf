"""Muon for the stacked matrices, Adam for embeddings and norms."""

import torch


def orthogonalised(m, steps=5):
    """m [..., rows, cols] with its singular values driven towards 1 by
    Newton-Schulz iteration (coefficients of Jordan et al., Muon, 2024)."""
    x = m.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class DemoOptimizer:
    def __init__(self, net, matrix_rate, vector_rate, momentum=0.95):
        self.matrices = [net.attn, net.gate_up, net.down]
        self.vectors = [net.embed, net.norms, net.last_norm]
        self.moments = [torch.zeros_like(p) for p in self.matrices]
        self.adam = torch.optim.Adam(
            self.vectors, lr=vector_rate, betas=(0.9, 0.98), fused=net.embed.is_cuda
        )
        self.matrix_rate, self.vector_rate, self.momentum = matrix_rate, vector_rate, momentum

    @torch.no_grad()
    def step(self, rate):
        """One update with both learning rates scaled by `rate`; clears gradients."""
        params = self.matrices + self.vectors
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for p, m in zip(self.matrices, self.moments):
            m.lerp_(p.grad, 1 - self.momentum)
            update = orthogonalised(p.grad.lerp(m, self.momentum))
            scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
            p.add_(update, alpha=-self.matrix_rate * rate * scale)
        for group in self.adam.param_groups:
            group["lr"] = self.vector_rate * rate
        self.adam.step()
        for p in params:
            p.grad = None

    def state(self):
        return {"moments": self.moments, "adam": self.adam.state_dict()}

    def load(self, state):
        for m, saved in zip(self.moments, state["moments"]):
            m.copy_(saved)
        self.adam.load_state_dict(state["adam"])
