"""Matrix products of the model: `Linear`, behind which the kernels hide.

On a CPU PyTorch multiplies float32 matrices with MKL, which on AMD's processors reaches half of what the same PyTorch
reaches with oneDNN (a step of 10M parameters: 1.5 times as fast). A convolution with a kernel of one pixel is the same
product, in the same precision, and goes to oneDNN where PyTorch has more than one thread; to MKL else, at no loss.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ONEDNN: Final = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
LEAST: Final = 2**15  # numbers in x: with fewer, what a convolution takes to begin outweighs what it saves


class Linear(nn.Linear):
    """x W^T over the last dimension of float [..., in], without a bias: float [..., out]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Every token is a pixel, and what it holds are the channels, which lie together: nothing is copied."""
        if not (ONEDNN and x.is_cpu and x.dtype == torch.float32 and x.numel() >= LEAST):
            return F.linear(x, self.weight)
        pixels = x.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        mapped = F.conv2d(pixels, self.weight[:, :, None, None])
        return mapped.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)
