"""Sums over tokens: the only place that knows about memory and speed."""

from transpde.kernels.blocks import one_blas_thread
from transpde.kernels.choice import EXACT, KERNEL_METHODS, Evaluation, Memory, evaluation
from transpde.kernels.fast import token_mean
from transpde.kernels.plane import PlaneSum
from transpde.kernels.products import LIGHTEST, matrix_product, softmax_map, softmax_maps
from transpde.kernels.sinkhorn import potential, sinkhorn_potential
from transpde.kernels.sums import Order, PointwiseSum, SoftmaxSum, TokenSum, clouds_at_once

__all__ = [
    "EXACT",
    "KERNEL_METHODS",
    "LIGHTEST",
    "Evaluation",
    "Memory",
    "Order",
    "PlaneSum",
    "PointwiseSum",
    "SoftmaxSum",
    "TokenSum",
    "clouds_at_once",
    "evaluation",
    "matrix_product",
    "one_blas_thread",
    "potential",
    "sinkhorn_potential",
    "softmax_map",
    "softmax_maps",
    "token_mean",
]
