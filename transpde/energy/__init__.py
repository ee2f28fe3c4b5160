r"""Energies that decrease, or increase, along attention flows, and their dissipation.

All are for a symmetric score matrix $A = K^\top Q$, so that $\langle Qx, Ky\rangle = \langle x,
Ay\rangle$. With $\nabla\delta E/\delta\mu$ for the Wasserstein gradient of an energy E, along
$\partial_t\mu + \operatorname{div}(\mu v) = 0$ it changes at the rate
$\int\langle\nabla\frac{\delta E}{\delta\mu}, v\rangle d\mu$.

- `Unnormalized`, V = ±A: the interaction energy, rate $\pm\int|\Gamma|^2d\mu$;
- `Softmax`, V = ±A: the same energy, rate $\pm\int Z_\mu|\Gamma|^2d\mu$;
- `Softmax` on Gaussians, V = MA: the twisted energy, rate $-\int\langle\Gamma,
  M^{-1}\Gamma\rangle d\mu$ on centred ones;
- `HeadDescent`: the energy of several heads, rate $-\int b\,|\Gamma|^2d\mu$ with one over its
  mobility, and the power of scores that change in time;
- `Sinkhorn`, V = -A: the Sinkhorn energy, rate $-\frac1\varepsilon\int|\Gamma|^2d\mu$.

For tokens of a sphere $\Gamma$ is its tangential part. For a stack of measures every energy is an
array of the shape of the stack.

On a Gaussian $N(m, XX^\top)$ everything is read from the eigenvalues of $G = X^\top AX$, for any
rank and without an inverse of the covariance.
"""

from transpde.checks import listing
from transpde.energy import covariances, heads, identities, interaction
from transpde.energy.covariances import *  # noqa: F403
from transpde.energy.heads import *  # noqa: F403
from transpde.energy.identities import *  # noqa: F403
from transpde.energy.interaction import *  # noqa: F403

_parts = (covariances, heads, identities, interaction)
__all__ = [name for part in _parts for name in part.__all__]

__dir__ = listing(__all__)
